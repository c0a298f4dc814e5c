"""Ways out of a host that has no direct one."""

from tests.hosts.host import Host

# An address of this machine's. Asked directly, a host finds itself there.
FAR = "127.0.0.2"

ANCHORS = {
    "systemd": "ExecStartPre=/bin/chown -R pdagent:pdagent /var/run/pdagent",
    "sysv": "PID_FILE=$PID_DIR/pdagentd.pid",
}


def settings(url: str) -> list[str]:
    return [f"http_proxy={url}", f"https_proxy={url}"]


def add_proxy_lines(host: Host, url: str) -> str:
    """The guide's two lines, after the line that it names. The file that they went to."""
    anchor = ANCHORS[host.spec.init]
    if host.spec.init == "systemd":
        file = host.sh("systemctl show --property=FragmentPath pdagent").split("=")[1]
        lines = [f'Environment="{setting}"' for setting in settings(url)]
    else:
        file = "/etc/init.d/pdagent"
        lines = ["", *(f"export {setting}" for setting in settings(url))]
    text = "\\n".join(lines)
    host.sh(f"grep -qxF '{anchor}' {file}; sed -i '\\|^{anchor}$|a \\{text}' {file}")
    return file
