"""Two machines with systemd of their own, installed by the playbook; runs as root on Debian."""
