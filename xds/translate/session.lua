-- Keeps clients on their members by a cookie that names the member by its id, never by its address.
--
-- The route's context holds the cookie's name at ":cookie", true at ":app" where the cookie is the application's own, and
-- the address and port of each member at its id.

-- place returns the address and port of the member with that id, nil when there is none.
local function place(context, id)
  if id and id:find("^[%w_-]+$") then return context:get(id) end
end

-- strip takes what is ours out of one line of cookies. It returns the line, nil when nothing is left, and the first id
-- that is one of a member: a browser can hold more cookies of the name, for other paths or from before.
local function strip(line, name, app, context)
  if not line:find(name, 1, true) then return line end
  local rest, id = {}, nil
  for pair in line:gmatch("[^;]+") do
    local key, value = pair:match("^%s*(.-)%s*=%s*(.-)%s*$")
    if key == name and app then
      local own, member = value:match("^(.*)~~([%w_-]+)$")
      if own then
        id, pair = id or place(context, member) and member, " " .. key .. "=" .. own
      end
    elseif key == name then
      id, pair = id or place(context, value) and value, nil
    end
    rest[#rest + 1] = pair
  end
  line = table.concat(rest, ";"):gsub("^%s+", "")
  if line == "" then line = nil end
  return line, id
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local count = headers:getNumValues("cookie")
  if count == 0 then return end
  local context = handle:filterContext()
  local name, app = context:get(":cookie"), context:get(":app")
  local lines, id, changed = {}, nil, false
  for i = 0, count - 1 do
    local line = headers:getAtIndex("cookie", i)
    local stripped, found = strip(line, name, app, context)
    lines[#lines + 1] = stripped
    id, changed = id or found, changed or stripped ~= line
  end
  if changed then
    if count == 1 and lines[1] then
      headers:replace("cookie", lines[1])
    else
      headers:remove("cookie")
      for _, line in ipairs(lines) do headers:add("cookie", line) end
    end
  end
  local address = place(context, id)
  if address == nil then return end
  handle:streamInfo():dynamicMetadata():set("octavia", "member", id)
  handle:setUpstreamOverrideHost(address, false)
end

local statuses = {
  ["200"] = true, ["203"] = true, ["204"] = true, ["206"] = true, ["300"] = true, ["301"] = true, ["404"] = true,
  ["405"] = true, ["410"] = true, ["414"] = true, ["501"] = true,
}

-- cacheable tells whether a cache may keep an answer, as HAProxy's `nocache` sees it (RFC 9111, section 3).
local function cacheable(headers)
  if not statuses[headers:get(":status")] then return false end
  local control = (headers:get("cache-control") or ""):lower()
  if control:find("private", 1, true) or control:find("no-store", 1, true) or control:find("no-cache", 1, true) then
    return false
  end
  if (headers:get("pragma") or ""):lower() == "no-cache" then return false end
  return control:find("max-age=", 1, true) or control:find("s-maxage=", 1, true) or headers:get("expires") or
    headers:get("etag") or headers:get("last-modified")
end

function envoy_on_response(handle)
  local headers = handle:headers()
  -- By the route, when the answer is not Envoy's own.
  local id = headers:get("x-octavia-member")
  if id == nil then return end
  headers:remove("x-octavia-member")
  local had = handle:streamInfo():dynamicMetadata():get("octavia")
  local back = had and had["member"] == id
  local count = headers:getNumValues("set-cookie")
  if back and count == 0 then return end
  local context = handle:filterContext()
  local name, app = context:get(":cookie"), context:get(":app")

  local cookies, changed = {}, false
  for i = 0, count - 1 do
    local cookie = headers:getAtIndex("set-cookie", i)
    local key, value, rest = cookie:match("^%s*(.-)%s*=([^;]*)(.*)$")
    if key == name then
      changed = true
      if not app then
        cookie = nil
      elseif value:find("%S") then
        cookie = key .. "=" .. value:gsub("%s+$", "") .. "~~" .. id .. rest
      end
    end
    cookies[#cookies + 1] = cookie
  end
  if changed then
    headers:remove("set-cookie")
    for _, cookie in ipairs(cookies) do headers:add("set-cookie", cookie) end
  end
  if app or back then return end

  headers:add("set-cookie", name .. "=" .. id .. "; path=/")
  if cacheable(headers) then headers:add("cache-control", "private") end
end
