-- SPDX-License-Identifier: Apache-2.0
-- wrk's requests: a 60-byte reading of each of DEVICES devices in turn, `depth` (the script's
-- argument) of them written at once, with the headers that follow it. What wrk counted is one line
-- of JSON.
local DEVICES = 64
local BODY = '{"celsius": 21.5, "humidity": 48.25, "battery": 3.61, "n":1}'
local batches, at = {}, 0

function init(arguments)
    local depth = tonumber(arguments[1])
    local headers = {["Content-Type"] = "application/json"}
    if arguments[2] then
        headers["Authorization"] = arguments[2]
    end
    for first = 1, DEVICES do
        local requests = {}
        for i = 0, depth - 1 do
            local device = (first + i - 1) % DEVICES + 1
            local path = "/v1/temperature?application=a&device=" .. device
            requests[#requests + 1] = wrk.format("POST", path, headers, BODY)
        end
        batches[first] = table.concat(requests)
    end
end

function request()
    at = at % DEVICES + 1
    return batches[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format('{"requests": %d, "errors": %d, "seconds": %f, "p99_ms": %f}\n',
        summary.requests,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        summary.duration / 1e6, latency:percentile(99) / 1e3))
end
