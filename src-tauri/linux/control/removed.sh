# After removing. Keys, the database and records stay: without them no desktop of the organisation works again.
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
