-- wrk: distinct texts, a body template, Poisson arrivals, and the result as one line of JSON.
-- wrk ... -s load.lua URL -- TEXTS_FILE BODY_TEMPLATE [MEAN_PAUSE_MS]
-- With a mean pause each connection waits an exponentially distributed time between an answer and its next
-- request; many connections together are a Poisson stream of (connections / mean pause) requests a second.
local requests, at, pause = {}, 0, 0
local threads = {}

function setup(thread)
  thread:set("id", #threads)
  table.insert(threads, thread)
end

local function escaped(text)
  return (text:gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end))
end

function init(args)
  math.randomseed(id + 1)
  wrk.headers["Content-Type"] = "application/json"
  for line in io.lines(args[1]) do
    local text = escaped(line)
    local body = args[2]:gsub("@TEXT@", function() return text end)
    table.insert(requests, wrk.format("POST", nil, nil, body))
  end
  for k = #requests, 2, -1 do
    local j = math.random(k)
    requests[k], requests[j] = requests[j], requests[k]
  end
  pause = tonumber(args[3] or "0")
  statuses = ""
  counts = {}
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function delay()
  if pause == 0 then return 0 end
  return math.floor(-pause * math.log(1 - math.random()) + 0.5)
end

function response(status)
  if status ~= 200 then
    counts[status] = (counts[status] or 0) + 1
    statuses = ""
    for code, n in pairs(counts) do statuses = statuses .. code .. ":" .. n .. " " end
  end
end

function done(summary, latency)
  local all = {}
  for _, thread in ipairs(threads) do
    for code, n in string.gmatch(thread:get("statuses"), "(%d+):(%d+)") do all[code] = (all[code] or 0) + tonumber(n) end
  end
  local parts = {}
  for code, n in pairs(all) do table.insert(parts, string.format('"%s": %d', code, n)) end
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.3f, "mean_ms": %.3f, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "max_ms": %.3f, "not_200": {%s}, "socket_errors": %d, "timeouts": %d}\n',
    summary.requests, summary.duration / 1e6, latency.mean / 1e3, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3, table.concat(parts, ", "), e.connect + e.read + e.write, e.timeout))
end
