-- Whether a container may be restarted or signalled by certsync: it asks for a certificate (certsync=true), or it says
-- certsync.reload-allowed=true, because certsync's own file and not a label asks for it.
--
-- The engine is asked at each action, by filters: the whole id, and whole values of labels. A container's labels never change, and an id
-- is never given again: what is true now is true when the action is carried out.

local ENGINE = "unix@/var/run/docker.sock"
local LABELS = { "certsync", "certsync.reload-allowed" }
-- A filter compares letter by letter. Compose v1 writes True.
local TRUE = { "true", "True", "TRUE", "yes", "on", "1" }

local function encoded(text)
    return (text:gsub("[^%w]", function(character) return string.format("%%%02X", character:byte()) end))
end

local function carries(id, label)
    local filters = string.format('{"id":["%s"],"label":["%s"]}', id, label)
    local answer = core.httpclient():get({
        url = "http://engine/containers/json?all=1&filters=" .. encoded(filters),
        dst = ENGINE,
    })
    return answer.status == 200 and answer.body ~= nil and answer.body:find(id, 1, true) ~= nil
end

core.register_action("opted_in", { "http-req" }, function(transaction)
    -- The configuration has let through nothing but 64 hexadecimal digits here.
    local id = transaction.sf:path():match("/containers/(%x+)/")
    for _, label in ipairs(LABELS) do
        for _, value in ipairs(TRUE) do
            if carries(id, label .. "=" .. value) then
                transaction:set_var("txn.opted_in", true)
                return
            end
        end
    end
end)
