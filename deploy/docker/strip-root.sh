#!/usr/bin/env bash
# Take from a Debian image with Python what a running service never uses: package managers, documentation, other users' tools.
set -euo pipefail
python=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
echo 'nonroot:x:65532:65532:nonroot:/tmp:/usr/sbin/nologin' >>/etc/passwd
echo 'nonroot:x:65532:' >>/etc/group
mkdir -p /etc/purport /models
rm -rf "$python"/{ensurepip,idlelib,turtledemo,tkinter,lib2to3,pydoc_data,test} "$python"/site-packages/* /usr/local/bin/{pip,idle,2to3,pydoc}*
# By dpkg, so that a scanner reads from its records what is really there.
dpkg --purge --force-all perl-base apt libapt-pkg6.0 gpgv debian-archive-keyring e2fsprogs libext2fs2 logsave 2>/dev/null
rm -rf /usr/share/{doc,doc-base,man,info,locale,lintian,bug,perl5} /var/cache/* /var/lib/apt/lists/* /var/log/* /tmp/*
# Nobody becomes somebody else here.
find / -xdev -perm /6000 -type f -exec chmod a-s {} +
# The byte code of the standard library: nothing can be written later, so every process would compile it again.
find "$python" -name __pycache__ -prune -exec rm -rf {} +
python -m compileall -q -f -j 0 --invalidation-mode unchecked-hash "$python"
rm -f "$0"
