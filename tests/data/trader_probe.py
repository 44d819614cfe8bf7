"""Runs the trading program of docs/examples with probes, or a program without events beside it.

    trader_probe.py PATH-OF-TRADER.PY with ARGUMENTS-OF-TRADER.PY...
    trader_probe.py PATH-OF-TRADER.PY without URL

Prints a JSON object for each order that is sent and for each change that the program is notified of.
"""

import importlib.util
import json
import sys
import threading
import time

spec = importlib.util.spec_from_file_location("trader", sys.argv[1])
trader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trader)
printing = threading.Lock()


def note(**fields):
    with printing:
        print(json.dumps(fields), flush=True)


class Gateway(trader.Gateway):
    def ask(self, path, body=None):
        sent, outcome = time.time(), "no-session"
        try:
            answer = super().ask(path, body)
            outcome = "placed" if "order_id" in json.dumps(answer) else "question"
            return answer
        finally:
            if path.endswith("/orders"):
                note(order=body["orders"][0]["cOID"], at=sent, outcome=outcome)


class Session(trader.Session):
    def set(self, is_live, number):
        super().set(is_live, number)
        note(live=is_live, session=number, at=time.time())


def without_events(url):
    """Prepares once, as a program does that has never heard of sessions, and sends each order once."""
    gateway = Gateway(url)
    account = gateway.ask("iserver/accounts")["accounts"][0]
    gateway.ask("iserver/questions/suppress", {"messageIds": sorted(trader.SUPPRESSED)})
    count = 0
    while True:
        count += 1
        order = {"conid": 265598, "orderType": "LMT", "price": 1, "side": "BUY", "tif": "DAY", "quantity": 1}
        try:
            gateway.ask(f"iserver/account/{account}/orders", {"orders": [order | {"cOID": f"order-{count}"}]})
        except trader.NoSession:
            pass
        time.sleep(0.2)


if sys.argv[2] == "without":
    without_events(sys.argv[3])
else:
    trader.Gateway, trader.Session = Gateway, Session
    sys.argv = [sys.argv[1], *sys.argv[3:]]
    trader.main()
