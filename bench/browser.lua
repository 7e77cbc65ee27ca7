-- wrk script: what browsers send, other headers in every request.
--   wrk … -s browser.lua URL -- HOST PATH keep|close|same
-- Thousands of whole requests are prepared once; each request takes the next one, so that no proxy can profit from seeing
-- the same bytes again and the load generator pays only for a table look-up.

local SETS = 4999 -- a prime: connections in step with each other still send different ones

local agents = {
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Mobile Safari/537.36",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/%d.0",
  "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/%d.0",
}
local languages = { "en-US,en;q=0.9", "id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7", "de-DE,de;q=0.9,en;q=0.8", "ja,en-US;q=0.9,en;q=0.8" }
local accepts = {
  "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
  "application/json, text/plain, */*",
  "*/*",
}
local sites = { "same-origin", "same-site", "none", "cross-site" }

local function pick(list)
  return list[math.random(#list)]
end

local function token(length)
  local out = {}
  for i = 1, length do
    out[i] = string.format("%x", math.random(0, 15))
  end
  return table.concat(out)
end

local prepared, place = {}, 0

function init(args)
  local host, path, connection = args[1], args[2], args[3]
  if connection == "same" then
    prepared, SETS = { wrk.format("GET", path, { ["Host"] = host }) }, 1
    return
  end
  math.randomseed(20261122)
  for i = 1, SETS do
    local headers = {
      ["Host"] = host,
      ["User-Agent"] = string.format(pick(agents), math.random(118, 146)),
      ["Accept"] = pick(accepts),
      ["Accept-Language"] = pick(languages),
      ["Accept-Encoding"] = "gzip, deflate, br, zstd",
      ["Referer"] = "https://" .. host .. "/films/" .. math.random(10000) .. "?page=" .. math.random(40),
      ["Cookie"] = "session=" .. token(32) .. "; theme=" .. pick({ "dark", "light" }) .. "; visitor=" .. token(12),
      ["Sec-Fetch-Dest"] = pick({ "document", "image", "script", "empty" }),
      ["Sec-Fetch-Mode"] = pick({ "navigate", "no-cors", "cors" }),
      ["Sec-Fetch-Site"] = pick(sites),
    }
    if i % 3 == 0 then
      headers["Upgrade-Insecure-Requests"] = "1"
      headers["Priority"] = "u=0, i"
    elseif i % 3 == 1 then
      headers["Cache-Control"] = "no-cache"
      headers["Pragma"] = "no-cache"
      headers["X-Requested-With"] = "XMLHttpRequest"
    end
    if connection == "close" then
      headers["Connection"] = "close"
    end
    prepared[i] = wrk.format("GET", path .. "?v=" .. token(6), headers)
  end
  place = math.random(SETS)
end

function request()
  place = place % SETS + 1
  return prepared[place]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n@result {"requests": %d, "bytes": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "errors": '
      .. '{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
