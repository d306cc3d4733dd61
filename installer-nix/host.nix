# services.nixie-host: an installed machine tells the controller once, after its first boot, which system it runs and by which SSH host key it
# is known; then never again.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption mkEnableOption types;
  cfg = config.services.nixie-host;
  done = "/var/lib/nixie-host/told";
in
{
  options.services.nixie-host = {
    enable = mkEnableOption "telling the controller, once, that the installed system has booted";
    package = mkOption {
      type = types.package;
      default = pkgs.nixie-agent;
      defaultText = lib.literalExpression "pkgs.nixie-agent";
      description = "The agent, which does the telling.";
    };
    controller = mkOption {
      type = types.str;
      example = "192.168.1.2:7481";
      description = "Controller as `ADDRESS:PORT`, several with commas.";
    };
    fingerprint = mkOption {
      type = types.strMatching "[0-9a-f]{64}";
      description = "SHA-256 of the controller's certificate, 64 hexadecimal digits: no other controller is told anything. `openssl x509 -in /var/lib/nixie/tls.pem -noout -fingerprint -sha256` on the controller shows it; write it in lower case, without colons.";
    };
    host = mkOption {
      type = types.str;
      default = config.networking.hostName;
      defaultText = lib.literalExpression "config.networking.hostName";
      description = "This machine's name in the controller's hosts.";
    };
    sshHostKeyFile = mkOption {
      type = types.str;
      default = "/etc/ssh/ssh_host_ed25519_key";
      description = "The host key that Nixie placed. The machine proves by a signature that it holds it; the key itself never leaves it.";
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.services.nixie-host = {
      description = "Word to Nixie's controller that this system has booted";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "sshd.service"
      ];
      unitConfig = {
        ConditionPathExists = "!${done}";
        # for as long as it takes: the controller may be away for days
        StartLimitIntervalSec = 0;
      };
      # ssh-keygen, for the signature
      path = [ config.programs.ssh.package ];
      serviceConfig = import ./hardening.nix // {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = lib.escapeShellArgs [
          (lib.getExe' cfg.package "nixie-agent")
          "--check-in"
          "--controller"
          cfg.controller
          "--fingerprint"
          cfg.fingerprint
          "--host"
          cfg.host
          "--ssh-host-key"
          cfg.sshHostKeyFile
        ];
        ExecStartPost = "${pkgs.coreutils}/bin/touch ${done}";
        Restart = "on-failure";
        RestartSec = 60;
        TimeoutStartSec = 60;
        StateDirectory = "nixie-host";

        # root's key is read, and nothing else
        CapabilityBoundingSet = [ "CAP_DAC_READ_SEARCH" ];
      };
    };
  };
}
