# What an encrypted root needs: the kernel's modules, and for the initrd cryptsetup with its libraries and the question for the passphrase.
{ store, debian }:
{
  modules = "dm_crypt xts ecb algif_skcipher aesni_intel";

  unlock =
    store.mk "initrd-unlock"
      {
        tree = debian.installer;
        script = ./machine/unlock;
      }
      ''
        libraries=$tree/usr/lib/x86_64-linux-gnu
        mkdir -p $out/bin $out/crypt
        cp $tree/usr/sbin/cryptsetup $libraries/ld-linux-x86-64.so.2 $out/crypt/
        $libraries/ld-linux-x86-64.so.2 --library-path $libraries --list $tree/usr/sbin/cryptsetup | awk '$3 ~ "^/" { print $3 }' |
          while read -r library; do cp $library $out/crypt/; done
        printf '#!/bin/sh\nexec /crypt/ld-linux-x86-64.so.2 --library-path /crypt /crypt/cryptsetup "$@"\n' > $out/bin/cryptsetup
        chmod 755 $out/bin/cryptsetup
        cp $script $out/unlock
      '';
}
