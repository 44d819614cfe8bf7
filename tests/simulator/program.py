"""A trading program written with ibind, through a lapse and a recovery. Arguments: the gateway's port, the control
port's port. Ends with an error where something is not as IBKR has it."""

import logging
import os
import sys
import time
import urllib.request
import warnings

from ibind import IbkrClient, IbkrWsClient, IbkrWsKey, QuestionType
from ibind.client.ibkr_utils import OrderRequest
from ibind.support.errors import ExternalBrokerError

GATEWAY, CONTROL = sys.argv[1:3]
ACCOUNT = "DU0000000"
ANSWERS = {QuestionType.MISSING_MARKET_DATA: True}

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def control(command):
    url = f"http://127.0.0.1:{CONTROL}/{command}"
    urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST"), timeout=10).read()


def until(what, condition, within=20):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def refused(call):
    try:
        answer = call()
    except ExternalBrokerError as error:
        return error.status_code or str(error)
    except ValueError as error:
        return str(error)
    raise AssertionError(f"it was answered: {answer}")


def arrives(queue):
    """Data that is sent from here on."""
    while queue.get() is not None:
        pass
    until(f"no data of {queue.key}", lambda: queue.get() is not None)


control("login")
client = IbkrClient(host="127.0.0.1", port=GATEWAY, cacert=False, account_id=ACCOUNT)
until("no session", client.check_health)
assert client.receive_brokerage_accounts().data["selectedAccount"] == ACCOUNT
conid = client.stock_conid_by_symbol("AAPL").data["AAPL"]
assert client.search_contract_by_symbol("AAPL").data[0]["conid"] == str(conid)
price = client.live_marketdata_snapshot_by_symbol("AAPL", ["31", "84", "86"])["AAPL"]["last_price"]
assert float(price) > 0
assert client.portfolio_accounts().data[0]["accountId"] == ACCOUNT
assert client.positions().data[0]["simulated"] is True
cash = client.get_ledger().data["USD"]["cashbalance"]

market = OrderRequest(conid=conid, side="BUY", quantity=1, order_type="MKT", acct_id=ACCOUNT, tif="DAY")
waiting = OrderRequest(conid=conid, side="BUY", quantity=1, order_type="LMT", price=1.0, acct_id=ACCOUNT)
assert "No answer found" in refused(lambda: client.place_order(market, {}))
assert client.place_order(market, ANSWERS).data["order_id"]
client.suppress_messages(["o354", "o163"])
open_order = client.place_order(waiting, {}).data["order_id"]
until("the order is not filled", lambda: client.get_ledger().data["USD"]["cashbalance"] < cash)

def opened():
    where = {"host": "127.0.0.1", "port": GATEWAY, "cacert": False, "account_id": ACCOUNT}
    # A client that comes back by itself asks for the accounts, at a time of its own.
    stream = IbkrWsClient(ibkr_client=client, restart_on_close=False, **where)
    stream.start()
    return stream


stream = opened()
topics = {key: stream.new_queue_accessor(key) for key in (IbkrWsKey.MARKET_DATA, IbkrWsKey.ORDERS, IbkrWsKey.PNL)}
assert stream.subscribe(channel=f"md+{conid}", data={"fields": ["31", "84"]})
assert stream.subscribe(channel="or")
assert stream.subscribe(channel="pl")
arrives(topics[IbkrWsKey.MARKET_DATA])
arrives(topics[IbkrWsKey.PNL])
client.cancel_order(open_order)
arrives(topics[IbkrWsKey.ORDERS])

control("lapse")
assert client.check_health() is False
assert "no bridge" in str(refused(lambda: client.place_order(market, {})))
client.get_ledger()

assert client.initialize_brokerage_session(compete=False).data["authenticated"] is True
assert client.check_health() is True
assert refused(lambda: client.place_order(market, {})) == 500, "the accounts have to be asked for again"
client.receive_brokerage_accounts()
assert "No answer found" in refused(lambda: client.place_order(market, {})), "the suppressions are gone"
client.suppress_messages(["o354"])
assert client.place_order(market, {}).data["order_id"]

again = opened()
prices = again.new_queue_accessor(IbkrWsKey.MARKET_DATA)
assert again.subscribe(channel=f"md+{conid}", data={"fields": ["31"]})
arrives(prices)
# The threads of the streams do not end by themselves.
os._exit(0)
