# What the rpm's scripts share beside common.sh, and get in the same way. On Debian, deb-systemd-helper enables the service.
# shellcheck shell=sh

# As the old agent did, a first installation enables the service, whatever the presets say of services in general: what is queued
# has to go out. A mask counts, and so does a preset that names the agent. usage: enable_service: true if it may be started
enable_service() {
    if ! grep -qsE '^[[:space:]]*disable[[:space:]]+pdagent' /etc/systemd/system-preset/*.preset \
        /run/systemd/system-preset/*.preset /usr/lib/systemd/system-preset/*.preset &&
        systemctl enable pdagent.service >/dev/null 2>&1; then
        return 0
    fi
    echo "pdagent: this host's policy keeps the service off, so events wait until you say: systemctl enable --now pdagent"
    return 1
}

# usage: no_init_runs: true where an image is being built that has init scripts. A daemon that ran there would make an agent ID,
# and it would be that of all hosts of the image.
no_init_runs() {
    case $(runlevel 2>/dev/null) in *unknown*) return 0 ;; *) return 1 ;; esac
}
