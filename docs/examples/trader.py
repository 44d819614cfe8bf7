#!/usr/bin/env python3
"""The skeleton of a trading program that survives lapses of its session. Standard library only.

It listens to the events of tickled, keeps the session number, redoes what belongs to a session when the number has changed,
and sends no orders while the session is not live. Rehearse it against `tickled simulate`: see docs/rehearse.md.

    trader.py [--socket PATH | --events http://127.0.0.1:9780] [--orders N] GATEWAY
"""

import argparse
import http.client
import json
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

# The order questions that this program answers with yes in advance.
SUPPRESSED = {"o163", "o354", "o382", "o383", "o403", "o451", "o2136", "o2137", "o10082", "o10138", "o10151", "o10152"}
# tickled sends a comment every 15 seconds: after so many seconds without one the connection is dead.
SILENT = 30
# The codes of an answer that came from no session, or from one whose accounts were not asked for.
LOST = (400, 401, 500, 503)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path):
        super().__init__("tickled", timeout=SILENT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SILENT)
        self.sock.connect(self.path)


class Session:
    """What tickled knows of the session: whether it is live, and its number."""

    def __init__(self, connect, path):
        self.connect, self.path = connect, path
        self.changed = threading.Condition()
        self.is_live, self.number = False, None
        threading.Thread(target=self.listen, daemon=True).start()

    def wait(self):
        """Waits until the session is live, and returns its number."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_live)
            return self.number

    def is_still(self, number):
        """Whether the session of this number is live."""
        with self.changed:
            return self.is_live and self.number == number

    def wait_for_change(self, number, seconds):
        """Waits until tickled knows that this session is gone, but not for ever: it may have been a false alarm."""
        with self.changed:
            self.changed.wait_for(lambda: not self.is_live or self.number != number, timeout=seconds)

    def listen(self):
        last_id = None
        while True:
            try:
                connection = self.connect()
                headers = {"Host": connection.host} | ({"Last-Event-ID": last_id} if last_id else {})
                connection.request("GET", self.path, headers=headers)
                response = connection.getresponse()
                if response.status != 200:
                    raise OSError(f"the events answer {response.status}: {response.read(500)!r}")
                last_id = self.read(response, last_id)
            except (OSError, http.client.HTTPException) as error:
                print(f"no events: {error}", file=sys.stderr, flush=True)
            # Without tickled nothing is known of the session.
            self.set(False, self.number)
            time.sleep(1)

    def read(self, lines, last_id):
        """Reads events until the connection ends. Returns the id of the last one."""
        event, data = None, None
        for line in lines:
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            if name == "id":
                last_id = value
            elif name == "event":
                event = value
            elif name == "data":
                data = json.loads(value)
            elif not name and data is not None:
                if event == "state":
                    self.set(data["to"] == "live", data["session"])
                event, data = None, None
        return last_id

    def set(self, is_live, number):
        with self.changed:
            if (is_live, number) != (self.is_live, self.number):
                print(f"session {number} is {'live' if is_live else 'not live'}", flush=True)
            self.is_live, self.number = is_live, number
            self.changed.notify_all()


class NoSession(Exception):
    """The gateway answered that there is no session."""


class Gateway:
    """The few requests that this program sends to the Client Portal Gateway."""

    def __init__(self, url):
        self.url = url.rstrip("/") + "/v1/api/"
        # A gateway on this host has a self-signed certificate. Verify the certificate of a gateway on any other host.
        is_own = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
        self.tls = ssl._create_unverified_context() if is_own else ssl.create_default_context()

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "trader"}
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=15, context=self.tls) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code in LOST:
                raise NoSession(f"{path}: {error.code}") from error
            raise
        except (OSError, json.JSONDecodeError) as error:
            raise NoSession(f"{path}: {error}") from error


class Trader:
    def __init__(self, session, gateway):
        self.session, self.gateway = session, gateway
        self.prepared = self.account = None

    def prepare(self, number):
        """Redoes the three things that belong to a session."""
        self.account = self.gateway.ask("iserver/accounts")["accounts"][0]
        self.gateway.ask("iserver/questions/suppress", {"messageIds": sorted(SUPPRESSED)})
        # The subscriptions. A program with a websocket opens a new one here and sends its `smd` and `sor` topics again.
        self.gateway.ask("iserver/marketdata/snapshot?conids=265598&fields=31,84,86")
        self.prepared = number
        print(f"prepared session {number}", flush=True)

    def place(self, order):
        """Places an order once, however often the session is lost meanwhile: a repeated `cOID` is the same order."""
        while True:
            number = self.session.wait()
            try:
                if number != self.prepared:
                    self.prepare(number)
                if not self.session.is_still(number):
                    continue
                answer = self.gateway.ask(f"iserver/account/{self.account}/orders", {"orders": [order]})
            except NoSession as error:
                # Lost before tickled knows of it, which it does within one check.
                print(f"not sent: {error}", flush=True)
                self.prepare_again(number)
                continue
            first = answer[0] if isinstance(answer, list) and answer else answer
            # An order that is already registered was placed, and only the answer was lost.
            if "order_id" in first or "already registered" in str(first.get("error")):
                return number
            if not SUPPRESSED.isdisjoint(first.get("messageIds", [])):
                # A suppressed question comes only in a session that is newer than tickled knows.
                print(f"a question: {first['message']}", flush=True)
                self.prepare_again(number)
                continue
            raise SystemExit(f"order {order['cOID']}: {answer}")

    def prepare_again(self, number):
        """Prepares the session again once tickled knows more of it."""
        self.prepared = None
        self.session.wait_for_change(number, 5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gateway", help="the gateway's name in the configuration of tickled")
    parser.add_argument("--socket", default="/run/tickled/control.sock", help="the control socket of tickled")
    parser.add_argument("--events", help="the endpoint of tickled, instead of the control socket")
    parser.add_argument("--url", default="https://127.0.0.1:5000", help="the address of the gateway")
    parser.add_argument("--orders", type=int, help="end after so many orders")
    options = parser.parse_args()
    if options.events:
        address = urlsplit(options.events)
        session = Session(
            lambda: http.client.HTTPConnection(address.hostname, address.port, timeout=SILENT),
            f"/events?gateway={options.gateway}",
        )
    else:
        session = Session(lambda: UnixConnection(options.socket), f"/v1/events?gateway={options.gateway}")
    trader = Trader(session, Gateway(options.url))
    name, count = f"trader-{int(time.time())}", 0
    while options.orders is None or count < options.orders:
        count += 1
        order = {"conid": 265598, "orderType": "LMT", "price": 1, "side": "BUY", "tif": "DAY", "quantity": 1}
        number = trader.place(order | {"cOID": f"{name}-{count}"})
        print(f"order {count} placed in session {number}", flush=True)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
