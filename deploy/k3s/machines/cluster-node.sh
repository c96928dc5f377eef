#!/usr/bin/env bash
# Prints the user data of a machine that joins the cluster: ./cluster-node.sh server|agent > file
# K3s comes by its version and its SHA-256, as its release page lists it (sha256sum-amd64.txt), never by a script from
# the web. The first server makes the cluster, further ones and agents join it by the same token.
set -euo pipefail

role=${1:-}
refuse() {
  echo "error: $1" >&2
  exit 2
}
[[ $role == server || $role == agent ]] || refuse 'Say which: cluster-node.sh server, or cluster-node.sh agent'
[[ ${K3S_VERSION:-} =~ ^v1\.[0-9]+\.[0-9]+\+k3s[0-9]+$ ]] || refuse 'Set K3S_VERSION, such as v1.34.2+k3s1'
[[ ${K3S_SHA256:-} =~ ^[0-9a-f]{64}$ ]] || refuse 'Set K3S_SHA256: the line of k3s in sha256sum-amd64.txt of that release'
[[ ${K3S_TOKEN:-} =~ ^[0-9A-Za-z]{32,}$ ]] || refuse 'Set K3S_TOKEN: openssl rand -hex 32'
if [[ $role == agent || -n ${K3S_URL:-} ]]; then
  [[ ${K3S_URL:-} =~ ^https://10\.[0-9.]+:6443$ ]] || refuse 'Set K3S_URL: https://<address of the first server in the VPC>:6443'
fi

cat <<END
#cloud-config
package_update: true
packages: [curl, nftables, unattended-upgrades]
write_files:
  # The public side takes HTTPS from Cloudflare and nothing else; the firewall group of Vultr says the same once more.
  - path: /etc/nftables.conf
    permissions: '0600'
    content: |
      table inet edge
      delete table inet edge
      table inet edge {
        set cloudflare4 { type ipv4_addr; flags interval; elements = {
          173.245.48.0/20, 103.21.244.0/22, 103.22.200.0/22, 103.31.4.0/22, 141.101.64.0/18, 108.162.192.0/18,
          190.93.240.0/20, 188.114.96.0/20, 197.234.240.0/22, 198.41.128.0/17, 162.158.0.0/15, 104.16.0.0/13,
          104.24.0.0/14, 172.64.0.0/13, 131.0.72.0/22 } }
        # Before K3s rewrites the destination, so that it holds for what is passed on to pods as well.
        chain prerouting {
          type filter hook prerouting priority -150; policy accept;
          iifname "PUBLIC" ct state established,related accept
          iifname "PUBLIC" ip saddr @cloudflare4 tcp dport 443 accept
          iifname "PUBLIC" meta l4proto { icmp, ipv6-icmp } accept
          iifname "PUBLIC" udp sport 67 udp dport 68 accept
          iifname "PUBLIC" drop
          # Machines of agents are in the same private network, and come to Traefik by Cloudflare like everybody.
          ip saddr 10.64.0.0/20 ct state new tcp dport { 443, 30000-32767 } drop
        }
      }
  - path: /etc/rancher/k3s/config.yaml
    permissions: '0600'
    content: |
      token: ${K3S_TOKEN}
$([[ -n ${K3S_URL:-} ]] && echo "      server: ${K3S_URL}")
      node-ip: ADDRESS
      flannel-iface: PRIVATE
$(
  if [[ $role == server ]]; then
    cat <<SERVER
$([[ -z ${K3S_URL:-} ]] && echo '      cluster-init: true')
      bind-address: ADDRESS
      advertise-address: ADDRESS
      # What goes from node to node for pods would else be neither secret nor anybody's in that network.
      flannel-backend: wireguard-native
      tls-san: [ADDRESS]
      secrets-encryption: true
      write-kubeconfig-mode: '0600'
      disable-cloud-controller: false
      kube-apiserver-arg:
        - audit-log-path=/var/log/k3s-audit.log
        - audit-log-maxage=30
        - audit-log-maxbackup=10
        - audit-log-maxsize=50
        - audit-policy-file=/etc/rancher/k3s/audit.yaml
SERVER
  fi
)
      kubelet-arg:
        - container-log-max-size=10Mi
        - container-log-max-files=5
$(
  if [[ $role == server ]]; then
    cat <<SERVER
  # Who did what to the platform, without what was in it.
  - path: /etc/rancher/k3s/audit.yaml
    permissions: '0600'
    content: |
      apiVersion: audit.k8s.io/v1
      kind: Policy
      omitStages: [RequestReceived]
      rules:
        - level: None
          verbs: [get, list, watch]
        - level: Metadata
  # Addresses of clients are kept only if the connection is not passed on between nodes first. No access log.
  - path: /var/lib/rancher/k3s/server/manifests/traefik-config.yaml
    permissions: '0600'
    content: |
      apiVersion: helm.cattle.io/v1
      kind: HelmChartConfig
      metadata:
        name: traefik
        namespace: kube-system
      spec:
        valuesContent: |-
          deployment: { kind: DaemonSet }
          service: { spec: { externalTrafficPolicy: Local } }
          ports:
            web: { expose: { default: false } }
            websecure:
              transport: { respondingTimeouts: { readTimeout: 0, writeTimeout: 0, idleTimeout: 75 } }
SERVER
  fi
)
  - path: /usr/local/sbin/join-cluster
    permissions: '0700'
    content: |
      #!/bin/bash
      set -euo pipefail
      # Vultr gives the private network the second interface, the one with an address in 10.0.0.0/8.
      read -r private address < <(ip -4 -o addr show | awk '\$4 ~ /^10\./ && \$2 !~ /^(cni|flannel|veth)/ { sub("/.*", "", \$4); print \$2, \$4; exit }')
      public=\$(ip -4 route show default | awk '{ print \$5; exit }')
      [ -n "\$private" ] && [ -n "\$public" ] && [ "\$private" != "\$public" ]
      sed -i "s/ADDRESS/\$address/; s/PRIVATE/\$private/" /etc/rancher/k3s/config.yaml
      sed -i "s/\"PUBLIC\"/\"\$public\"/" /etc/nftables.conf
      systemctl enable --now nftables && nft -f /etc/nftables.conf
      if ! echo '${K3S_SHA256}  /usr/local/bin/k3s' | sha256sum -c --status 2>/dev/null; then
        curl -fsSL --proto =https --retry 5 -o /usr/local/bin/k3s.new 'https://github.com/k3s-io/k3s/releases/download/${K3S_VERSION/+/%2B}/k3s'
        echo '${K3S_SHA256}  /usr/local/bin/k3s.new' | sha256sum -c --status
        chmod 0755 /usr/local/bin/k3s.new && mv /usr/local/bin/k3s.new /usr/local/bin/k3s
      fi
      ln -sf k3s /usr/local/bin/kubectl
      systemctl daemon-reload && systemctl enable --now k3s
  - path: /etc/systemd/system/k3s.service
    permissions: '0644'
    content: |
      [Unit]
      After=network-online.target nftables.service
      Wants=network-online.target
      [Service]
      Type=notify
      ExecStart=/usr/local/bin/k3s ${role}
      KillMode=process
      Delegate=yes
      LimitNOFILE=1048576
      TasksMax=infinity
      Restart=always
      RestartSec=5
      [Install]
      WantedBy=multi-user.target
  - path: /etc/systemd/journald.conf.d/retention.conf
    content: |
      [Journal]
      MaxRetentionSec=30day
      SystemMaxUse=1G
  # Kubelet ends a log by its size alone: a pod that says little would keep its lines for ever.
  - path: /usr/local/sbin/end-old-logs
    permissions: '0700'
    content: |
      #!/bin/bash
      set -euo pipefail
      logs=\${1:-/var/log/pods}
      find "\$logs" -name '*.log.*' -mtime +30 -delete
      find "\$logs" -name '*.log' -size +0 | while read -r log; do
        # Each line begins with its time.
        [[ \$(head -c 10 "\$log") < \$(date -u -d '30 days ago' +%F) ]] || continue
        cp "\$log" "\$log.\$(date -u +%Y%m%d-%H%M%S)" && : > "\$log"
      done
  - path: /etc/systemd/system/end-old-logs.service
    content: |
      [Service]
      Type=oneshot
      ExecStart=/usr/local/sbin/end-old-logs
  - path: /etc/systemd/system/end-old-logs.timer
    content: |
      [Timer]
      OnCalendar=daily
      Persistent=true
      [Install]
      WantedBy=timers.target
runcmd:
  - [/usr/local/sbin/join-cluster]
  - [systemctl, enable, --now, end-old-logs.timer]
END
