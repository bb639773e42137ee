# Everything that belongs in the package is there, and what reads it finds it.
. /smoke/lib.sh

desktop-file-validate /usr/share/applications/deskgate-desktop.desktop
program=$(sed -n 's/^Exec=//p' /usr/share/applications/deskgate-desktop.desktop)
[ "$(command -v "$program")" = /usr/bin/deskgate-desktop ] || fail "the menu entry starts $program, which is not there"
icon=$(sed -n 's/^Icon=//p' /usr/share/applications/deskgate-desktop.desktop)
for size in 32x32 64x64 128x128 256x256 512x512; do
    [ -s "/usr/share/icons/hicolor/$size/apps/$icon.png" ] || fail "no icon of $size"
done
[ -s "/usr/share/icons/hicolor/scalable/apps/$icon.svg" ] || fail "no scalable icon"
ok "menu entry and icons"

grep -q 'action id="dev.deskgate.approve"' /usr/share/polkit-1/actions/dev.deskgate.approve.policy
grep -q 'action id="dev.deskgate.update"' /usr/share/polkit-1/actions/dev.deskgate.update.policy
ok "polkit action"

# Each command that help lists has its page.
pages() {
    local name=$1 shown=$2 command
    gzip -t "/usr/share/man/man1/$name.1.gz" || fail "no man page $name"
    for command in $($shown --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p'); do
        [ "$command" = help ] || pages "$name-$command" "$shown $command"
    done
}
pages deskgate deskgate
ok "man pages: $(ls /usr/share/man/man1/deskgate*.1.gz | wc -l)"

(
    . /usr/share/bash-completion/completions/deskgate
    complete -p deskgate >/dev/null
) || fail "bash does not complete"
grep -q '^#compdef deskgate' /usr/share/zsh/*/_deskgate || fail "zsh does not complete"
grep -q 'complete -c deskgate' /usr/share/fish/vendor_completions.d/deskgate.fish || fail "fish does not complete"
ok "completions"

for file in copyright changelog.gz third-party-licences.gz; do
    [ -s "/usr/share/doc/deskgate/$file" ] || fail "no $file"
done
for work in "cedar-policy " "tauri " "svelte "; do
    # Read to its end: who is not listened to any more ends with an error.
    zcat /usr/share/doc/deskgate/third-party-licences.gz | grep "$work" >/dev/null || fail "the licence of $work is missing"
done
# Package, and therefore everybody but root, may change nothing of it.
for program in deskgate deskgate-desktop; do
    [ "$(stat -c '%U %G %a' "/usr/bin/$program")" = 'root root 755' ] || fail "$program is not root's alone"
done
ok "documents and owners"
