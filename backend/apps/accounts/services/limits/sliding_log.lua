-- One call on all its limits: a sorted set per key, score = milliseconds of Redis' own clock, member = reservation.
-- KEYS: one log per limit.  ARGV: verb, reservation, offset in ms, then limit and window (ms) per key.
-- Answer: {admitted, used, frees in ms, used, frees in ms, ...} as it was before this call took anything.
local verb, reservation = ARGV[1], ARGV[2]

if verb == 'clear' then
  redis.call('DEL', unpack(KEYS))
  return {}
end
if verb == 'refund' then
  for i = 1, #KEYS do
    redis.call('ZREM', KEYS[i], reservation)
  end
  return {}
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[3])
local answer = {1}

-- Lua's own conversion would round to 14 digits.
local function exactly(number)
  return string.format('%.0f', number)
end

-- A key outlives its newest stamp by a second, so that it never goes while a stamp still counts.
local function keep(key, window)
  redis.call('PEXPIRE', key, window + 1000)
end

-- Redis' clock stepped back (or a replica with another clock took over): stamps from the future would hold their
-- places for longer than a window, so they count as taken now.
local function pull_back(key, window)
  local future = redis.call('ZRANGEBYSCORE', key, '(' .. exactly(now), '+inf')
  for i = 1, #future do
    redis.call('ZADD', key, 'XX', now, future[i])
  end
  keep(key, window)
end

-- Nothing is written until the verdict stands, and ZADD comes first: Redis checks its memory only at the first write of
-- a script, so a trimming write before it would let this script grow a full Redis without an error.
for i = 1, #KEYS do
  local key, limit, window = KEYS[i], tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  local used, frees = redis.call('ZCOUNT', key, '(' .. exactly(now - window), '+inf'), 0
  if used > 0 then
    local rank = math.min(used, limit) - 1
    local leaver = tonumber(redis.call('ZREVRANGE', key, rank, rank, 'WITHSCORES')[2])
    if leaver > now then
      pull_back(key, window)
      leaver = now
    end
    frees = leaver + window - now
  end
  if used >= limit then
    answer[1] = 0
  end
  answer[2 * i] = used
  answer[2 * i + 1] = frees
end

if verb == 'admit' and answer[1] == 1 then
  for i = 1, #KEYS do
    local window = tonumber(ARGV[3 + 2 * i])
    redis.call('ZADD', KEYS[i], now, reservation)
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - window)
    keep(KEYS[i], window)
  end
end
return answer
