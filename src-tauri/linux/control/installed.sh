# After installing: the unit is known, and what ran goes on in the new version. Nothing is started that an administrator has not.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    if [ "$upgraded" = yes ]; then systemctl try-restart deskgate-control.service || true; fi
fi
