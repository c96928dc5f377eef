import { isIPv6 } from 'node:net'

/**
 * The packet filter of a machine, for its script: expects `owns_system`, `say` and an agent's user. A VPC is flat, so
 * nobody but the routers gets in, to the port of the runner's proxy; and what runs as the agent's user reaches neither
 * the provider's metadata nor the private network nor mail servers.
 */
export function firewallPart(routers: readonly string[], port: number): string {
  const fromRouters = routers
    .map(
      (address) =>
        `${isIPv6(address.split('/')[0] ?? '') ? 'ip6' : 'ip'} saddr ${address} tcp dport ${port} accept`,
    )
    .join('\n    ')
  return `
if owns_system; then
  agent_uid="$(id -u agent)"
  mkdir -p /etc/agentctl
  cat >/etc/agentctl/firewall.nft.next <<RULES
# Declared and deleted first, so that loading this again replaces it in one step.
table inet agentctl
delete table inet agentctl
table inet agentctl {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    # How neighbours on the line find each other, and how this machine gets and keeps its address.
    icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
    udp sport 67 udp dport 68 accept
    udp sport 547 udp dport 546 accept
    ${fromRouters}
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
  chain output {
    type filter hook output priority filter; policy accept;
    meta skuid $agent_uid jump agent
  }
  chain agent {
    oifname "lo" accept
    ct state established,related accept
    ip daddr 169.254.0.0/16 reject
    ip6 daddr fe80::/10 reject
    tcp dport { 25, 465, 587 } reject with tcp reset
    # Names may be resolved by a private address; nothing else of the platform is the agent's business.
    meta l4proto { tcp, udp } th dport 53 accept
    ip daddr { 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 } reject
    ip6 daddr fc00::/7 reject
  }
}
RULES
  mv -f /etc/agentctl/firewall.nft.next /etc/agentctl/firewall.nft
  nft --file /etc/agentctl/firewall.nft
  if [ -d /run/systemd/system ]; then
    # What others drop is dropped, whatever our table says; and some of them empty all tables when they end.
    for other in ufw firewalld nftables; do
      if systemctl is-enabled --quiet "$other.service" 2>/dev/null; then
        systemctl disable --quiet --now "$other.service"
        say "$other filters here no more"
      fi
    done
    nft --file /etc/agentctl/firewall.nft
    unit agentctl-firewall.service <<UNIT
[Unit]
Description=agentctl packet filter
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
After=local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$(command -v nft) --file /etc/agentctl/firewall.nft

[Install]
WantedBy=sysinit.target
UNIT
  fi
  nft list chain inet agentctl input | grep --quiet 'policy drop' || { say 'refused: the packet filter does not stand'; exit 1; }
fi
`
}
