-- Scans of random tags with a phone's headers, about 400 bytes each. usage: wrk -s scans.lua URL -- TAGS CONNECTION
-- Prints what came back as one line of JSON.
local requests, at = {}, 0

function init(args)
  local tags, connection = tonumber(args[1]), args[2]
  math.randomseed(7)
  for i = 1, 20000 do
    requests[i] = string.format("GET /q/c%07d HTTP/1.1\r\nHost: qr.example.com\r\n" ..
      "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1\r\n" ..
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" ..
      "Accept-Language: de-DE,de;q=0.9,en;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: %s\r\n\r\n",
      math.random(0, tags - 1), connection)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
