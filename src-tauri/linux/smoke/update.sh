# The next version, installed by `deskgate update` as root: from a folder that a person could have written to, with a key of the moment.
. /smoke/lib.sh
version=$1 kind=$2 package=$3
offered=/tmp/offered
rm -rf "$offered"
mkdir "$offered"
machine=$(uname -m)

# What is released knows nothing of keys in its environment.
if [ "$kind" = release ]; then
    for program in deskgate deskgate-desktop; do
        ! grep -q DESKGATE_DEBUG_ "/usr/bin/$program" || fail "$program obeys variables of a debug build"
    done
    ok "the released programs obey no variable of a debug build"
fi

# A package of this version with another number, which runs nothing and is whole otherwise.
make() {
    local number=$1 folder=/tmp/next
    rm -rf "$folder"
    dpkg-deb --raw-extract "$package" "$folder"
    sed -i "s/^Version: .*/Version: $number/" "$folder/DEBIAN/control"
    [ -z "${2-}" ] || sed -i "s/^Depends: /Depends: $2, /" "$folder/DEBIAN/control"
    cp /tmp/deskgate-debug "$folder/usr/bin/deskgate"
    dpkg-deb --build --root-owner-group -Znone "$folder" "$offered/deskgate_$number.deb" >/dev/null
    printf '{"format":1,"product":"deskgate","version":"%s","packages":{"linux-%s-deb":{"file":"%s","size":%s,"sha256":"sha256:%s"}}}' \
        "$number" "$machine" "deskgate_$number.deb" "$(stat -c %s "$offered/deskgate_$number.deb")" \
        "$(sha256sum "$offered/deskgate_$number.deb" | cut -d ' ' -f 1)" >"$offered/release.json"
    minisign -S -s /tmp/update.key -m "$offered/release.json" >/dev/null
}
installed() { dpkg-query --show --showformat '${Version}' deskgate; }
refused() {
    local what=$1
    shift
    ! "$@" >/tmp/refusal 2>&1 || fail "$what was installed"
    [ "$(installed)" = "$now" ] || fail "$what changed what is installed"
    [ ! -e /var/cache/deskgate ] || fail "$what left something behind"
    ok "$what is refused: $(head -n 1 /tmp/refusal)"
}

minisign -G -W -f -p /tmp/update.pub -s /tmp/update.key >/dev/null
cp /tmp/deskgate-debug /usr/bin/deskgate
DESKGATE_DEBUG_UPDATE_KEY=$(tail -n 1 /tmp/update.pub)
now=$version

make 98.0.0 deskgate-needs-what-nobody-has
refused "a package that needs what is not there" env DESKGATE_DEBUG_UPDATE_KEY="$DESKGATE_DEBUG_UPDATE_KEY" deskgate update --install "$offered/deskgate_98.0.0.deb"
grep -q deskgate-needs-what-nobody-has /tmp/refusal || fail "it is refused for something else: $(cat /tmp/refusal)"
make 99.0.0
refused "a package without a key to believe it" env -u DESKGATE_DEBUG_UPDATE_KEY deskgate update --install "$offered/deskgate_99.0.0.deb"
export DESKGATE_DEBUG_UPDATE_KEY
cp "$offered/deskgate_99.0.0.deb" /tmp/good.deb
printf x >>"$offered/deskgate_99.0.0.deb"
refused "a package that was altered" deskgate update --install "$offered/deskgate_99.0.0.deb"
ln -sf /tmp/good.deb "$offered/deskgate_99.0.0.deb"
refused "a link" deskgate update --install "$offered/deskgate_99.0.0.deb"
rm "$offered/deskgate_99.0.0.deb"
cp /tmp/good.deb "$offered/deskgate_99.0.0.deb"
mkdir -p /etc/deskgate/managed.d
echo '{"AutomaticUpdates": false}' >/etc/deskgate/managed.d/10-updates.json
refused "what IT has switched off" deskgate update --install "$offered/deskgate_99.0.0.deb"
rm -r /etc/deskgate
deskgate update --install "$offered/deskgate_99.0.0.deb" >/tmp/update.log 2>&1 || fail "$(cat /tmp/update.log)"
[ "$(installed)" = 99.0.0 ] || fail "$(installed) is installed"
[ ! -e /var/cache/deskgate ] || fail "root's copy was left behind"
ok "version 99.0.0 is installed"

now=99.0.0
make 0.0.1
refused "an earlier version" deskgate update --install "$offered/deskgate_0.0.1.deb"
PKEXEC_UID=1000 refused "an earlier version that a person asks for" deskgate update --install "$offered/deskgate_0.0.1.deb" --allow-older
deskgate update --install "$offered/deskgate_0.0.1.deb" --allow-older >/tmp/update.log 2>&1 || fail "$(cat /tmp/update.log)"
[ "$(installed)" = 0.0.1 ] || fail "$(installed) is installed"
ok "an administrator goes back"
