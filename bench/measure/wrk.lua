-- SPDX-License-Identifier: Apache-2.0
-- wrk's requests: a 60-byte reading of each of DEVICES devices in turn, `depth` of them written at
-- once. The script's arguments: the depth, then nothing or an Authorization for each device. What
-- wrk counted is one line of JSON.
local DEVICES = 64
local BODY = '{"celsius": 21.5, "humidity": 48.25, "battery": 3.61, "n":1}'
local batches, at = {}, 0

function init(arguments)
    local depth = tonumber(arguments[1])
    for first = 1, DEVICES do
        local requests = {}
        for i = 0, depth - 1 do
            local device = (first + i - 1) % DEVICES + 1
            local path = "/v1/temperature?application=a&device=" .. device
            requests[#requests + 1] = wrk.format("POST", path, {
                ["Content-Type"] = "application/json",
                ["Authorization"] = arguments[1 + device],
            }, BODY)
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
