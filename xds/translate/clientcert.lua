-- Tells the member about the client's certificate as HAProxy does. What the route's context asks for it writes into the
-- request's metadata, from where the route's headers take it: that of a client without a certificate is empty.

-- The names of OpenSSL for kinds of attribute that Envoy's BoringSSL knows by number alone.
local names = {
  ["1.3.6.1.4.1.311.60.2.1.1"] = "jurisdictionL", ["1.3.6.1.4.1.311.60.2.1.2"] = "jurisdictionST",
  ["1.3.6.1.4.1.311.60.2.1.3"] = "jurisdictionC", ["2.5.4.97"] = "organizationIdentifier", ["2.5.4.98"] = "c3",
  ["2.5.4.99"] = "n3", ["2.5.4.100"] = "dnsName", ["1.2.643.3.131.1.1"] = "INN", ["1.2.643.100.1"] = "OGRN",
  ["1.2.643.100.3"] = "SNILS", ["0.9.2342.19200300.100.1.44"] = "uid",
}

-- octets are what a value in hexadecimal DER holds, less its tag and length.
local function octets(hex)
  local der = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  local length = der:byte(2) or 0
  return der:sub(length < 128 and 3 or 3 + length - 128)
end

-- plain takes the escapes out of a value: \, or \C3 for a byte.
local function plain(value)
  if value:sub(1, 1) == "#" then return octets(value:sub(2)) end
  return (value:gsub("\\(%x?)(.)", function(high, char)
    if high == "" then return char end
    return string.char(tonumber(high .. char, 16))
  end))
end

-- attributes are the kinds and values of a name by RFC 2253, in the order of the certificate: the last comes first there.
local function attributes(text)
  local all, start, at = {}, 1, 1
  while start do
    at = text:find("[,+\\]", at)
    if at and text:sub(at, at) == "\\" then
      at = at + 2
    else
      local kind, value = text:sub(start, (at or 0) - 1):match("^(.-)=(.*)$")
      if kind then table.insert(all, 1, { names[kind] or kind, plain(value) }) end
      at = at and at + 1
      start = at
    end
  end
  return all
end

-- header is a value as HAProxy puts it into a header: control characters are percent-encoded, and nothing else.
local function header(value)
  return (value:gsub("[%z\1-\8\10-\31\127]", function(char) return string.format("%%%02X", char:byte()) end))
end

-- oneline is a name on one line, from its root.
local function oneline(text)
  local line = {}
  for _, attribute in ipairs(attributes(text)) do line[#line + 1] = "/" .. attribute[1] .. "=" .. attribute[2] end
  return header(table.concat(line))
end

-- moment is a time with two digits of the year, and nothing when it is of another century than this.
local function moment(seconds)
  local year = tonumber(os.date("!%Y", seconds))
  if year < 2000 or year > 2099 then return "" end
  return os.date("!%y%m%d%H%M%SZ", seconds)
end

function envoy_on_request(handle)
  local tls = handle:streamInfo():downstreamSslConnection()
  if tls == nil or not tls:peerCertificatePresented() then return end
  local asked, told = handle:filterContext(), handle:streamInfo():dynamicMetadata()
  local function tell(what, value) told:set("octavia.client", what, value) end
  if asked:get("dn") then tell("dn", oneline(tls:subjectPeerCertificate())) end
  if asked:get("cn") then
    for _, attribute in ipairs(attributes(tls:subjectPeerCertificate())) do
      if attribute[1] == "CN" then
        tell("cn", header(attribute[2]))
        break
      end
    end
  end
  if asked:get("issuer") then tell("issuer", oneline(tls:issuerPeerCertificate())) end
  if asked:get("not_before") then tell("not_before", moment(tls:validFromPeerCertificate())) end
  if asked:get("not_after") then tell("not_after", moment(tls:expirationPeerCertificate())) end
  if asked:get("sha1") then
    local digest = handle:streamInfo():filterState():get("octavia.client.sha1")
    if digest then tell("sha1", digest:upper()) end
  end
end
