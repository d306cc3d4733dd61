# Debian's cloud kernel, and trees of some of its modules.
{
  store,
  debian,
  artefacts,
}:
let
  deb = store.file artefacts.debs.kernel;
in
{
  # bzImage, as NixOS's kernel package has it.
  image = store.mk "linux-debian-cloud" { inherit deb; } ''
    dpkg-deb -x $deb t; mkdir $out; cp t/boot/vmlinuz-* $out/bzImage
  '';

  # lib/modules/VERSION with the modules named and all that they need.
  modules =
    name: wanted:
    store.mk "linux-modules-${name}" { inherit deb wanted; } ''
      dpkg-deb -x $deb t
      version=$(ls t/lib/modules)
      from=$PWD/t/lib/modules/$version; to=$out/lib/modules/$version
      mkdir -p $to
      depmod -b t $version
      # a module that is built in, or that this kernel has not, is no file: nothing to take
      for name in $wanted; do
        pattern=$(printf %s $name | sed 's/[-_]/[-_]/g')
        grep -E "(^|/)$pattern\.ko:" $from/modules.dep || true
      done | tr ':' ' ' | tr -s ' ' '\n' | sort -u | while read -r path; do
        [ -n "$path" ] || continue
        mkdir -p $to/''${path%/*}; cp $from/$path $to/$path
      done
      cp $from/modules.order $from/modules.builtin $from/modules.builtin.modinfo $to/
      ${debian.run "kmod" "depmod"} -b $out $version
    '';
}
