"""Zabbix, with its agent, its database and its frontend, driven through its API."""

import time
from typing import Any

import requests

from tests.hosts.host import KEY
from tests.peers.server import SAMPLES, Server

# The item's value is what stands here.
VALUE = "/srv/queue"
HOST = "mail1"
GROUP = "Linux servers"
ITEM = "Mail queue"
# Another item's text is what stands here. It is in the name of its trigger's problem.
SAID = "/srv/said"
KEY_FILE = "/etc/zabbix/pagerduty.key"
TRIGGER = 'Mail queue: it\'s "long"; Größe > 10'
DATABASE = """<?php
$DB = ["TYPE" => "POSTGRESQL", "SERVER" => "", "PORT" => "0", "DATABASE" => "zabbix",
       "USER" => "zabbix", "PASSWORD" => "", "SCHEMA" => ""];"""
# What is done to a problem, added up.
CLOSE, ACKNOWLEDGE, SAY, CHANGE_SEVERITY = 1, 2, 4, 8
HIGH, DISASTER = 4, 5
EVERYTHING = {"active": 0, "severity": 63, "period": "1-7,00:00-24:00"}


class Zabbix(Server):
    """A host with one item and one trigger, whose problems page the user `pagerduty`."""

    package = "zabbix-server-pgsql"
    unit = "zabbix-server"
    log_file = "/var/log/zabbix-server/zabbix_server.log"

    def set_up(self) -> None:
        # The server's user owns the database, and so needs no password. PHP's own web server does.
        self.host.sh(f"""
            echo 0 >{VALUE}
            echo fine >{SAID}
            runuser -u postgres -- createuser zabbix
            runuser -u postgres -- createdb -O zabbix -E UTF8 -T template0 zabbix
            cd /usr/share/zabbix-server-pgsql
            zcat schema.sql.gz images.sql.gz data.sql.gz | runuser -u zabbix -- psql -1 -q zabbix
            printf 'DBHost=\\nCacheUpdateFrequency=1\\n' >/etc/zabbix/zabbix_server.conf.d/db.conf
            cat >/etc/zabbix/zabbix.conf.php <<'END'
{DATABASE}
END
            ln -s /usr/share/pdagent-integrations/bin/pd-zabbix /etc/zabbix/alert.d/
            systemctl restart zabbix-server zabbix-agent
            systemd-run --quiet --unit=frontend --uid=zabbix \\
                php -S 0.0.0.0:8080 -t /usr/share/zabbix""")
        address = self.host.sh("hostname -I").split()[0]
        self._url = f"http://{address}:8080/api_jsonrpc.php"
        self._token = ""
        self._configure()

    def _configure(self) -> None:
        """What the documentation has people click."""
        self._token = self.call("user.login", username="Admin", password="zabbix")
        sample = self.host.sh(f"cat {SAMPLES}/pagerduty_zabbix.yaml")
        self.call(
            "configuration.import",
            format="yaml",
            rules={"mediaTypes": {"createMissing": True, "updateExisting": True}},
            source=sample,
        )
        (media,) = self.call("mediatype.get", filter={"name": "PagerDuty Agent"})
        media_type = {"mediatypeid": media["mediatypeid"]}
        (role,) = self.call("role.get", filter={"name": "Super admin role"})
        (group,) = self.call("usergroup.get", filter={"name": "Zabbix administrators"})
        user = self.call(
            "user.create",
            username="pagerduty",
            passwd="Correct-Horse-7",
            roleid=role["roleid"],
            usrgrps=[{"usrgrpid": group["usrgrpid"]}],
        )
        self._medium = {"userid": user["userids"][0]}, media_type | EVERYTHING
        self.send_to(KEY)
        self._monitor()
        to_user = {
            "operationtype": 0,
            "opmessage": {"default_msg": 1} | media_type,
            "opmessage_usr": [{"userid": user["userids"][0]}],
        }
        to_all = {"opmessage": {"default_msg": 1}}
        self.call(
            "action.create",
            name="PagerDuty",
            eventsource=0,
            esc_period="1m",
            operations=[to_user],
            recovery_operations=[{"operationtype": 11} | to_all],
            update_operations=[{"operationtype": 12} | to_all],
        )

    def _monitor(self) -> None:
        # The server's own host, which is there from the start, would page.
        (own,) = self.call("host.get", filter={"host": "Zabbix server"})
        self.call("host.update", hostid=own["hostid"], status=1)
        (group,) = self.call("hostgroup.get", filter={"name": GROUP})
        interface = {
            "type": 1,
            "main": 1,
            "useip": 1,
            "ip": "127.0.0.1",
            "dns": "",
            "port": "10050",
        }
        host = self.call(
            "host.create",
            host=HOST,
            groups=[{"groupid": group["groupid"]}],
            interfaces=[interface],
        )["hostids"][0]
        (interface,) = self.call("hostinterface.get", hostids=host)
        where = {"hostid": host, "interfaceid": interface["interfaceid"], "type": 0, "delay": "1s"}
        item, said = (f"vfs.file.contents[{path}]" for path in (VALUE, SAID))
        self.call("item.create", **where, name=ITEM, key_=item, value_type=3)
        self.call("item.create", **where, name="Said", key_=said, value_type=4)
        self.call(
            "trigger.create",
            description=TRIGGER,
            expression=f"last(/{HOST}/{item})>10",
            priority=HIGH,
            manual_close=1,
        )
        self.call(
            "trigger.create",
            description="Something was said",
            event_name="Said: {ITEM.LASTVALUE}",
            opdata="{ITEM.LASTVALUE}",
            expression=f'find(/{HOST}/{said},,"like","ERROR")=1',
            priority=HIGH,
        )

    def call(self, method: str, **params: Any) -> Any:
        """One call of the API; its result."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        answer = self._post(body, headers).json()
        assert "result" in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _post(self, body: dict[str, Any], headers: dict[str, str]) -> requests.Response:
        for _ in range(100):  # the frontend takes a moment to start
            try:
                return requests.post(self._url, json=body, headers=headers, timeout=60)
            except requests.ConnectionError:
                time.sleep(0.1)
        raise TimeoutError("the frontend does not listen")

    def set_value(self, value: int) -> None:
        self.host.sh(f"echo {value} >{VALUE}")

    def say(self, text: str) -> None:
        self.host.sh(f"cat >{SAID} <<'END'\n{text}\nEND")

    def send_to(self, address: str) -> None:
        """What stands in "Send to" of the user's medium."""
        user, medium = self._medium
        self.call("user.update", **user, medias=[medium | {"sendto": address}])

    def update(self, done: int, **more: Any) -> None:
        """Do that to the one problem that the trigger has, as its users do."""
        (problem,) = self.call("problem.get", objectids=self.trigger_id())
        self.call("event.acknowledge", eventids=problem["eventid"], action=done, **more)

    def enable(self, enabled: bool) -> None:
        """The trigger. Disabled, it cancels the escalation of its problem."""
        self.call("trigger.update", triggerid=self.trigger_id(), status=int(not enabled))

    def until_ok(self) -> None:
        """Until the server knows that the trigger has no problem, and so can have one."""
        for _ in range(150):
            (trigger,) = self.call("trigger.get", triggerids=self.trigger_id())
            if trigger["value"] == "0":
                return
            time.sleep(0.2)
        raise TimeoutError("the trigger is not OK")

    def failed(self) -> list[Any]:
        """Messages that did not get through, as the action log shows them."""
        return list(self.call("alert.get", filter={"status": 2}))

    def trigger_id(self) -> str:
        (trigger,) = self.call("trigger.get", filter={"description": TRIGGER})
        return str(trigger["triggerid"])

    def log(self) -> str:
        """Of alert scripts the server keeps what they said in its database."""
        alerts = "select status, error, message from alerts"
        said = self.host.run(f"runuser -u zabbix -- psql zabbix -c '{alerts}'")
        return f"{said.stdout}{said.stderr}{super().log()}"
