-- Sends prepared requests in turn. Each thread begins at a place of its own.
-- Arguments: the file with the requests, each "METHOD PATH-AND-QUERY BODY-BYTES" on a line.

local counter = 0

function setup(thread)
  thread:set("id", counter)
  counter = counter + 1
end

function init(args)
  requests = {}
  local bodies = {}
  for line in io.lines(args[1]) do
    local method, target, size = line:match("^(%S+) (%S+) (%d+)$")
    size = tonumber(size)
    bodies[size] = bodies[size] or string.rep("x", size)
    requests[#requests + 1] = wrk.format(method, target, nil, size > 0 and bodies[size] or nil)
  end
  position = (id * 7919) % #requests
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, _)
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99), summary.bytes))
end
