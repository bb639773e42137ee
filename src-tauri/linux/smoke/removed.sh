# What a removed package leaves behind is what the guide says: nothing outside of a person's own folders.
. /smoke/lib.sh
left=$(find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /smoke -o -path /packages -o -path /root -o -path /tmp -o -path /var/lib/dpkg \
    -o -path /var/log -o -path /var/cache/apt \) -prune -o -iname '*deskgate*' -print | sort)
[ "$left" = "$(printf '%s\n' "$@")" ] || fail "left behind: $left"
ok "left behind is nothing${1:+ but $*}"
