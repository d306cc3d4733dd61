{
  boot.kernelParams = [ "console=ttyAMA0" ];
  services.prometheus.exporters.node.enable = true;
}
