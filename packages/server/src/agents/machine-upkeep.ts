/**
 * What keeps a machine in order while it is left alone, for its script: expects `settle`, `install_packages` and `say`. None of it decides whether an agent can run, so it comes after the start of the runner and only warns.
 */
export const upkeepPart = `
upkeep() {
  # The script runs at each boot and after a restore, as it expects.
  if [ -d /etc/cloud/cloud.cfg.d ]; then
    settle /etc/cloud/cloud.cfg.d/99-agentctl.cfg <<'CLOUD' || :
cloud_final_modules:
  - [scripts-user, always]
CLOUD
  fi
  if [ -d /run/systemd/system ]; then
    mkdir -p /etc/systemd/journald.conf.d
    if settle /etc/systemd/journald.conf.d/agentctl.conf <<'JOURNAL'; then
[Journal]
SystemMaxUse=200M
RuntimeMaxUse=32M
MaxRetentionSec=7day
JOURNAL
      systemctl restart systemd-journald.service
    fi
  fi
  local missing=''
  command -v unattended-upgrade >/dev/null 2>&1 || missing="$missing unattended-upgrades"
  command -v logrotate >/dev/null 2>&1 || missing="$missing logrotate"
  [ -z "$missing" ] || install_packages $missing || say "warning: these could not be installed:$missing"
  # Which packages those are is the system's own choice: what its security team has published. It does not reboot: an
  # agent would be away at a moment that nobody chose, and a new kernel comes with the next machine.
  settle /etc/apt/apt.conf.d/52agentctl <<'APT' || :
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
Unattended-Upgrade::Automatic-Reboot "false";
APT
  if [ -d /etc/needrestart/conf.d ]; then
    # Restarted with each of its libraries, the runner would restart the agent with it.
    settle /etc/needrestart/conf.d/agentctl.conf <<'NEEDRESTART' || :
$nrconf{override_rc}{qr(^agentctl-runner\\.service$)} = 0;
NEEDRESTART
  fi
  # Two rules for one file are an error to logrotate, and some images have one for these.
  if [ -d /etc/logrotate.d ] && ! grep --quiet --files-with-matches cloud-init /etc/logrotate.d/* 2>/dev/null; then
    settle /etc/logrotate.d/agentctl <<'ROTATE' || :
/var/log/cloud-init.log /var/log/cloud-init-output.log {
  weekly
  maxsize 10M
  rotate 4
  compress
  copytruncate
  missingok
  notifempty
}
ROTATE
  fi
}
`
