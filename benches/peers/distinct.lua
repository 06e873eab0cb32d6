-- Every request asks for something of its own, or one answer could serve several callers. KEYWARD_BENCH_BODY is how many
-- bytes each of them sends.
local length = tonumber(os.getenv("KEYWARD_BENCH_BODY") or "0")
local requests, next_one = {}, 0

function init(arguments)
    for nth = 1, length > 0 and 64 or 4096 do
        local path = wrk.path .. "?n=" .. nth
        if length > 0 then
            requests[nth] = wrk.format("POST", path, nil, string.rep("x", length))
        else
            requests[nth] = wrk.format("GET", path)
        end
    end
end

function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end
