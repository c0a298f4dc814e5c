"""What an administrator does with packages, in apt's words and in dnf's."""

from tests.hosts.engine import Family
from tests.hosts.service import Shell

PACKAGES = ("pdagent", "pdagent-integrations")


class Apt:
    """A deb host. Where apt-key still is, it is set up in the guide's words."""

    environment = "/etc/default/pdagent"

    def __init__(self, sh: Shell) -> None:
        self.sh = sh

    def add_repository(self, url: str, key: str | None = None) -> None:
        """The repository at `url`; `key` is where its key is found, if not where the guide says."""
        key = key or f"{url.removesuffix('/pdagent')}/GPG-KEY-pagerduty"
        self.sh(f"""
            if command -v apt-key; then
                wget -qO - {key} | apt-key add -
                echo "deb {url} deb/" >/etc/apt/sources.list.d/pdagent.list
            else
                keyring=/usr/share/keyrings/pdagent.gpg
                wget -qO - {key} | gpg --dearmor >$keyring
                echo "deb [signed-by=$keyring] {url} deb/" >/etc/apt/sources.list.d/pdagent.list
            fi
        """)

    def add_offered_repository(self, url: str) -> None:
        """By the files that the repository offers, made for `url` less its port."""
        keyring = "/usr/share/keyrings/pdagent-archive-keyring.gpg"
        self.sh(f"""
            wget -qO {keyring} {url.removesuffix("/pdagent")}/GPG-KEY-pagerduty.gpg
            cd /etc/apt/sources.list.d
            wget -qO - {url}/pdagent.sources | sed 's,http:.*,{url},' >pdagent.sources
        """)

    def move_repository(self, old: str, new: str) -> None:
        self.sh(f"sed -i 's,/{old}/,/{new}/,' /etc/apt/sources.list.d/pdagent.list")

    def install(self, *names: str) -> str:
        return self.sh(f"{self._apt} update && {self._apt} install {' '.join(names or PACKAGES)}")

    upgrade = install

    def install_file(self, url: str) -> str:
        return self.sh(f"wget -qO /tmp/a.deb {url} && dpkg -i /tmp/a.deb")

    def remove(self) -> str:
        return self.sh(f"{self._apt} remove {' '.join(PACKAGES)}")

    def purge(self) -> str:
        return self.sh(f"{self._apt} purge {' '.join(PACKAGES)} 2>&1")

    def version(self, name: str) -> str:
        return self.sh(f"dpkg-query -W -f '${{Version}}' {name}").split("-")[0]

    def check(self) -> str:
        """What the package manager has to complain about."""
        return self.sh("dpkg --audit; apt-get check -q=2")

    # nobody is there to answer what dpkg asks
    _apt = "DEBIAN_FRONTEND=noninteractive apt-get -q=2 -y </dev/null"


class Dnf:
    """An rpm host; on old ones `dnf` is yum."""

    environment = "/etc/sysconfig/pdagent"

    def __init__(self, sh: Shell) -> None:
        self.sh = sh

    def add_repository(self, url: str, key: str | None = None) -> None:
        key = key or f"{url.removesuffix('/pdagent')}/GPG-KEY-RPM-pagerduty"
        self.sh(f"""cat >/etc/yum.repos.d/pdagent.repo <<EOF
[pdagent]
name=PDAgent
baseurl={url}/rpm
enabled=1
gpgcheck=1
gpgkey={key}
EOF""")

    def add_offered_repository(self, url: str) -> None:
        server = url.split("/")[2]
        self.sh(f"""
            cd /etc/yum.repos.d
            curl -sf {url}/pdagent.repo | sed 's,http://[^/]*,http://{server},' >pdagent.repo
        """)

    def move_repository(self, old: str, new: str) -> None:
        self.sh(f"sed -i '/^baseurl/s,/{old}/,/{new}/,' /etc/yum.repos.d/pdagent.repo")

    def install(self, *names: str) -> str:
        return self.sh(f"yum install -y -q {' '.join(names or PACKAGES)}")

    def killed_install(self, *names: str) -> None:
        """The same, killed in the first script that asks systemctl."""
        kill = 'pkill -KILL -f "^[^ ]*(python3? )?[^ ]*(yum|dnf5?) install"; kill -KILL $PPID'
        self.sh(f"""
            mv /usr/bin/systemctl /usr/bin/systemctl.real
            printf '#!/bin/sh\\n%s\\n' '{kill}' >/usr/bin/systemctl
            chmod 755 /usr/bin/systemctl
            ! yum install -y -q {" ".join(names or PACKAGES)}
            mv /usr/bin/systemctl.real /usr/bin/systemctl""")

    def upgrade(self) -> str:
        return self.sh(f"yum clean -q expire-cache; yum update -y -q {' '.join(PACKAGES)}")

    def install_file(self, url: str) -> str:
        return self.sh(f"rpm -i --nosignature {url}")

    def remove(self) -> str:
        return self.sh(f"yum remove -y -q {' '.join(PACKAGES)}")

    def version(self, name: str) -> str:
        return self.sh(f"rpm -q --qf '%{{VERSION}}' {name}")

    def check(self) -> str:
        return self.sh("rpm -Va --nofiles; rpm -q --whatprovides pdagent >/dev/null")


def manager(family: Family, sh: Shell) -> Apt | Dnf:
    return Apt(sh) if family == "deb" else Dnf(sh)
