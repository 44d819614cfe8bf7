# The skeleton of a trading program in Elixir that survives lapses of its session. No dependencies but OTP.
#
# It listens to the events of tickled, keeps the session number, redoes what belongs to a session when the number has changed,
# and sends no orders while the session is not live. Rehearse it against `tickled simulate`: see docs/rehearse.md. It needs the
# endpoint of tickled ([endpoint] listen = "127.0.0.1:9780").
#
#     elixir trader.exs main https://127.0.0.1:15000 http://127.0.0.1:9780

defmodule Events do
  @moduledoc "Listens to the events of one gateway and sends {:session, live?, number} to `trader` at each change."

  # tickled sends a comment every 15 seconds.
  @silent 30_000

  def start_link(trader, endpoint, gateway), do: {:ok, spawn_link(fn -> listen(trader, endpoint, gateway, nil) end)}

  defp listen(trader, endpoint, gateway, last_id) do
    headers = if last_id, do: [{~c"last-event-id", to_charlist(last_id)}], else: []
    url = to_charlist("#{endpoint}/events?gateway=#{gateway}")
    {:ok, request} = :httpc.request(:get, {url, headers}, [], sync: false, stream: :self)
    last_id = read(request, trader, "", last_id)
    :httpc.cancel_request(request)
    # Without tickled nothing is known of the session.
    send(trader, {:session, false, nil})
    Process.sleep(1_000)
    listen(trader, endpoint, gateway, last_id)
  end

  defp read(request, trader, text, last_id) do
    receive do
      {:http, {^request, :stream, part}} ->
        {events, [rest]} = (text <> part) |> String.split("\n\n") |> Enum.split(-1)
        read(request, trader, rest, Enum.reduce(events, last_id, &event(&1, &2, trader)))

      {:http, {^request, :stream_start, _headers}} ->
        read(request, trader, text, last_id)

      {:http, {^request, _ended_or_failed}} ->
        last_id

      {:http, {^request, :stream_end, _headers}} ->
        last_id
    after
      @silent -> last_id
    end
  end

  defp event(text, last_id, trader) do
    fields = for line <- String.split(text, "\n"), [name, value] <- [String.split(line, ": ", parts: 2)], into: %{}, do: {name, value}

    with %{"event" => "state", "data" => data} <- fields do
      # OTP 27 has :json. The two fields that matter are easily found without it.
      [_, to] = Regex.run(~r/"to":"([a-z-]+)"/, data)
      [_, number] = Regex.run(~r/"session":(\d+)/, data)
      send(trader, {:session, to == "live", String.to_integer(number)})
    end

    Map.get(fields, "id", last_id)
  end
end

defmodule Gateway do
  @moduledoc "The few requests that this program sends to the Client Portal Gateway."

  def ask(url, path, body \\ nil) do
    url = to_charlist("#{url}/v1/api/#{path}")
    # A gateway on this host has a self-signed certificate. Verify the certificate of a gateway on any other host.
    options = [timeout: 15_000, ssl: [verify: :verify_none]]
    agent = [{~c"user-agent", ~c"trader"}]

    answer =
      if body,
        do: :httpc.request(:post, {url, agent, ~c"application/json", body}, options, body_format: :binary),
        else: :httpc.request(:get, {url, agent}, options, body_format: :binary)

    case answer do
      {:ok, {{_, 200, _}, _, text}} -> {:ok, text}
      # 400, 401 and 503 come from no session; the same goes for no answer.
      {:ok, {{_, status, _}, _, _}} -> {:no_session, status}
      {:error, reason} -> {:no_session, reason}
    end
  end
end

defmodule Trader do
  @moduledoc "Places one order after the other, each once."

  @suppressed ~s({"messageIds":["o163","o354","o382","o383","o403","o451"]})

  def run(url, count \\ 1, session \\ {false, nil}, prepared \\ nil) do
    case newest(session) do
      {false, _} = lost ->
        # Sends nothing until the session is live.
        receive do
          {:session, live, number} -> run(url, count, {live, number || elem(lost, 1)}, prepared)
        end

      {true, number} = live ->
        with {:ok, account} <- prepare(url, number, prepared),
             {:ok, answer} <- Gateway.ask(url, "iserver/account/#{account}/orders", order(count)),
             :ok <- placed(answer) do
          IO.puts("order #{count} placed in session #{number}")
          Process.sleep(200)
          run(url, count + 1, live, {number, account})
        else
          # Lost before tickled knows of it. The order has the same cOID next time, so it is not placed twice.
          {:no_session, reason} ->
            IO.puts("not sent: #{inspect(reason)}")

            receive do
              {:session, live, number} -> run(url, count, {live, number}, nil)
            after
              5_000 -> run(url, count, live, nil)
            end
        end
    end
  end

  # The newest of all that was said about the session.
  defp newest(session) do
    receive do
      {:session, live, number} -> newest({live, number || elem(session, 1)})
    after
      0 -> session
    end
  end

  defp prepare(_url, number, {number, account}), do: {:ok, account}

  # Redoes the three things that belong to a session.
  defp prepare(url, number, _other) do
    with {:ok, accounts} <- Gateway.ask(url, "iserver/accounts"),
         {:ok, _} <- Gateway.ask(url, "iserver/questions/suppress", @suppressed),
         # The subscriptions. A program with a websocket opens a new one here and sends its topics again.
         {:ok, _} <- Gateway.ask(url, "iserver/marketdata/snapshot?conids=265598&fields=31,84,86") do
      [_, account] = Regex.run(~r/"accounts":\s*\["([A-Z0-9]+)"/, accounts)
      IO.puts("prepared session #{number}")
      {:ok, account}
    end
  end

  # An order that is already registered was placed, and only the answer was lost. A suppressed question comes only in a session
  # that is newer than tickled knows.
  defp placed(answer) do
    if answer =~ "order_id" or answer =~ "already registered", do: :ok, else: {:no_session, answer}
  end

  defp order(count) do
    ~s({"orders":[{"conid":265598,"orderType":"LMT","price":1,"side":"BUY","tif":"DAY","quantity":1,"cOID":"#{name()}-#{count}"}]})
  end

  defp name, do: :persistent_term.get(:name)
end

[gateway, url, endpoint] = System.argv()
for application <- [:inets, :ssl], do: {:ok, _} = Application.ensure_all_started(application)
:persistent_term.put(:name, "trader-#{System.os_time(:second)}")
{:ok, _} = Events.start_link(self(), endpoint, gateway)
Trader.run(url)
