# One socket unit for each interface, bound to it: systemd opens the ports below 1024, and the service has no right to any. They come and go
# with the service: a stopped Nixie stays stopped, whatever the network asks.
{ config, lib, ... }:
let
  cfg = config.services.nixie;
  # Of two addresses of an interface the kernel would take the first for an answer: one that was chosen has a socket of its own.
  addresses = [ "0.0.0.0" ] ++ lib.optional (cfg.address != null) cfg.address;
  dhcp = lib.optionals (cfg.dhcp.mode != "off") (
    lib.concatMap (address: [
      "${address}:67"
      "${address}:4011"
    ]) addresses
  );
in
{
  config = lib.mkIf cfg.enable {
    systemd.sockets = lib.listToAttrs (
      map (interface: {
        name = "nixie-${interface}";
        value = {
          description = "Nixie's doors on ${interface}: ${if dhcp == [ ] then "TFTP" else "DHCP, PXE, TFTP"}";
          partOf = [ "nixie.service" ];
          socketConfig = {
            Service = "nixie.service";
            BindToDevice = interface;
            ListenDatagram = dhcp ++ [ "0.0.0.0:69" ];
            FreeBind = true;
            Broadcast = true;
            # a burst of many machines that are switched on together
            ReceiveBuffer = "8M";
          };
        };
      }) cfg.interfaces
    );
  };
}
