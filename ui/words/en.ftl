### The words of Deskgate's windows, tray and notifications, in Project Fluent's syntax. Nothing else there says anything by itself.
###
### Messages are whole sentences; ids begin with the place where they stand. Plain words: see "Words" in the design of the
### interface. Never upstream, downstream, OAuth, PKCE, lease, DPoP, JSON-RPC outside `about-…`.
### A variable that is counted is a number and is written as the person's computer writes numbers.
### <code>, <strong>, <dim>, <unseen> and <time> mark a part of a sentence; nothing else in angle brackets has a meaning.

## Times and lengths

time-soon = in a moment
time-milliseconds = { $count } ms
time-seconds = { $count } s

## Counted things, for use within sentences

counted-records =
    { $count ->
        [one] { $count } record
       *[other] { $count } records
    }
counted-calls =
    { $count ->
        [one] { $count } call
       *[other] { $count } calls
    }
counted-tools =
    { $count ->
        [one] { $count } tool
       *[other] { $count } tools
    }

## What stands at several places

common-close = Close
common-try-again = Try again
common-cancel = Cancel
common-copy = Copy
common-copied = Copied
common-copy-what = Copy { $what }
common-what-copied = { $what } copied
common-copy-url = Copy URL
common-url-of = URL of { $server }
common-open-settings = Open the settings file
common-in-connector = in { $connector }
common-target-in-connector = { $target } <dim>in { $connector }</dim>
common-leave-it = Leave it

## What the documents are called; screen readers say it

window-main = Deskgate
window-question = Deskgate asks

## The sidebar

sidebar-name = Deskgate
sidebar-places = Places
sidebar-waiting =
    { $count ->
        [one] { $count } waiting
       *[other] { $count } waiting
    }
sidebar-not-signed-in = Not signed in
sidebar-personal = Personal
place-overview = Overview
place-connectors = Connectors
place-assistants = Assistants
place-activity = Activity
place-access = Access
place-pending = Pending
place-settings = Settings
place-about = About

## Overview

overview-organisation = your organisation
overview-resumes = { $session }, resumes { $when }
overview-resume = Resume
overview-sign-in = Sign in
overview-pause = Pause…
overview-pause-length = For how long?
overview-pause-short = 15 minutes
overview-pause-tomorrow = Until tomorrow
overview-pause-open = Until I resume
overview-try-keychain = Try the keychain again
overview-help = Get help
overview-another-port = Use another port…
overview-another-port-title = Use another port?
overview-another-port-means = Deskgate starts anew at another address. Assistants that have the old one cannot reach it until you connect them again: they are listed then. Each asks you for access.
overview-another-port-do = Move and start anew
overview-waiting = Waiting for you
overview-servers = What assistants connect to
overview-no-assistant = No assistant is connected yet
overview-connect = Connect an assistant
overview-last-calls = Last calls
overview-all-activity = All activity
overview-policy = Policy
overview-policy-none = none yet
overview-policy-own = your own
overview-policy-deny-all = none that is valid: every call is refused
overview-policy-grace = { $version }, expired; still obeyed until { $when }
overview-policy-received = { $version }, received { $when }
overview-audit = Audit
overview-audit-broken = was changed from outside
overview-audit-here-only = { counted-records }, on this computer only
overview-audit-in-sync = { counted-records }, in sync with { $organisation }
overview-audit-to-send = { counted-records }, { $rest } still to be sent
overview-offline = Organisation
overview-offline-since = has not answered since { $when }

## The first start, in the Overview

welcome-title = Set up Deskgate
welcome-skip = Skip this
welcome-whose = Who decides what assistants may do
welcome-decided-own = You decide yourself.
welcome-decided = { $organisation } decides.
welcome-decided-found = { $organisation } decides, found at { $address }.
welcome-decided-recognised = { $organisation } decides, recognised by { $fingerprint }.
welcome-decided-found-recognised = { $organisation } decides, found at { $address }, recognised by { $fingerprint }.
welcome-compare = Compare the fingerprint above with the one that your IT department gave you.
welcome-address = The address that your IT department gave you. Deskgate then begins anew and asks you to sign in.
welcome-address-example = deskgate.example.com
welcome-back = Back
welcome-join = Join
welcome-nobody = Nobody manages Deskgate on this computer.
welcome-own = Use it for myself
welcome-organisation = My organisation gave me an address
welcome-sign-in = Sign in
welcome-sign-in-what = { $organisation } asks who you are, in its own window. Deskgate never sees your password.
welcome-sign-in-waits = Waiting for you…
welcome-sign-in-to = Sign in to { $organisation }
welcome-reach = What assistants may reach
welcome-reach-done = { $connectors }.
welcome-reach-done-own = { $connectors }. You sign in to each when it is used first.
welcome-reach-nothing = { $organisation } has not given you any connector yet. Once it does, it appears here by itself.
welcome-reach-import = Take over what your assistants reach already; its secrets are then sealed.
welcome-reach-or-describe = Or describe something that they do not reach yet:
welcome-reach-describe = Describe what they may reach first, for instance a folder of yours:
welcome-assistants = Your assistants
welcome-assistants-came = { $assistants } came in.
welcome-assistants-connected = Connected. When it starts, Deskgate asks you whether it may.
welcome-assistants-later = None connected yet; they wait under Assistants.
welcome-later = Later
welcome-try = See that it works
welcome-done = Done
step-done = { $title }<unseen>, done</unseen>

## The call that a new person tries

trial-what = Deskgate calls a tool that only reads, the way an assistant would. The call is recorded like every other, under the name Deskgate.
trial-try = Try it
trial-trying = Trying…
trial-again = Try it again
trial-fault = { $server }: { $tool } of { $connector } was called. { $fault }
trial-refused = { $server }: { $happened } { $todo }
trial-answered = { $server } offers { counted-tools }, and { $tool } of { $connector } answered in { $took }.
trial-offers = { $server } offers { counted-tools }. None of them can be called without knowing what for, so none was.
trial-nothing = { $server } offers nothing yet. Its connectors need you to sign in first, or do not answer: see Connectors.

## An organisation that nobody introduced

introduction-title = Is this { $organisation }?
introduction-told = The fingerprint that your IT department gave you. Deskgate compares it with the one above.
introduction-example = sha256:…
introduction-compare = Compare

## What waits: in the Overview and under Pending

questions-deadline = Refused by itself when the time is over
questions-left = { $time } left
questions-until = Ends { $time }
questions-until-what = Nothing is sent when the time is over
questions-give-up = Give up
questions-give-up-what = Give up: { $title }
questions-continue = Continue
questions-continue-what = Continue: { $title }
questions-look = Look
questions-look-what = Look at: { $title }

## Pending

pending-empty = Nothing waits for you
pending-empty-what = When an assistant asks to use your access, a call needs your approval, an account needs you to sign in, or a connector says something else than before, it appears here.
pending-held = Changed since it was accepted
held-title = { $connector } changed: { $part }
held-back = Held back
held-back-until = Held back until you accept what it says now
held-look = Look
held-look-what = Look at the change of { $part } of { $connector }
held-hide = Hide
held-hide-what = Hide the change of { $part } of { $connector }
held-before = Before
held-now = Now
held-more = There is more than is shown.
held-accept = Accept this change
held-accept-what = Accept the change of { $part } of { $connector }

## Connectors

connectors-empty = No connectors yet
connectors-empty-organisation = What { $organisation } lets you reach appears here.
connectors-empty-own = What your assistants can reach appears here. You describe it, or write it into <code>{ $file }</code>.
connectors-state-idle = Starts with the first call
connectors-state-ready = Ready
connectors-state-sign-in-needed = Needs you to sign in
connectors-state-signing-in = Waits for your sign-in
connectors-state-unreachable = Does not answer
connectors-state-withheld = Not used for now
connectors-detail = { $state }, { $runs }
connectors-detail-tools = { $state }, { counted-tools }, { $runs }
connectors-account = { $account }, { $credential }
connectors-silent-since = It has not answered since { $when }.
connectors-list-kept = What it listed last is still offered.
connectors-list-withdrawn = Nothing of it is offered until it answers.
connectors-used = used <time>{ $when }</time>
connectors-not-used = not used yet
connectors-log = Show log
connectors-log-of = Show log of { $connector }
connectors-sign-in = Sign in
connectors-sign-in-to = Sign in to { $connector }
connectors-sign-out = Sign out
connectors-sign-out-of = Sign out of { $connector }

## A connector of one's own

own-connector-add = Add a connector
own-connector-title = A connector of your own
own-connector-name = What it is called
own-connector-name-example = My documents
own-connector-where = Where it is
own-connector-program = A program on this computer
own-connector-address = An address on the network
own-connector-line = What starts it, as in a terminal
own-connector-line-example = npx -y @modelcontextprotocol/server-filesystem /path/to/a/folder
own-connector-secrets-means = Deskgate seals these and gives them to this program alone, as environment variables.
own-connector-secret-add = Add a secret
own-connector-secret-name = Name of the variable
own-connector-secret-example = API_KEY
own-connector-secret-value = Secret
own-connector-secret-remove-what = Remove secret { $number }
own-connector-url = Its address
own-connector-url-example = https://mcp.example.com/mcp
own-connector-by-token = I sign in there with a token that I have (Deskgate asks for it when you sign in)
own-connector-server = Where assistants find it
own-connector-look = Show the change
own-connector-looking = Asking it…
own-connector-change = The connector { $connector }
own-connector-changes = This changes in <code>{ $file }</code>, and nothing else. What is sealed is not in it; look that no secret stands there:
own-connector-back = Back
own-connector-make = Add it
own-connector-added = { $connector } is there now.
own-connector-by-hand = Connectors stand in <code>{ $file }</code>; you can also write them there, and Deskgate reads it again by itself.
own-connector-remove = Remove
own-connector-remove-what = Remove { $connector }
own-connector-removal = Removing { $connector }
own-connector-removes = This signs you out of all accounts there, forgets its secrets and what you always allowed, and changes in <code>{ $file }</code>:
own-connector-remove-it = Remove it
own-connector-removed = { $connector } is gone, and so are its secrets.

## The log of a connector

log-back = Back to the connectors
log-title = Log of { $connector }
log-what = Log
log-cut = What was before is no longer kept.
log-line-of = { $text }, process { $process }
log-kept = Kept in memory only, until Deskgate ends. Programs may print secrets: look at it before you pass it on.
log-empty = Nothing so far
log-empty-program = What { $connector } prints beside its answers appears here, and when it starts and ends.
log-empty-connection = { $connector } runs elsewhere. What fails on the way to it appears here.

## Assistants

assistants-empty = No assistant is connected yet
assistants-empty-what = Each assistant that you allow to use your access appears here, and can be stopped here.
assistants-empty-address = One that is not listed below is connected with an address:
assistants-address = Address
assistants-uses = { $assistant } <dim>uses</dim> { $server }
assistants-program-unknown = its program is not known
assistants-last-call = last call <time>{ $when }</time>
assistants-no-call = no call yet
assistants-allowed = allowed <time>{ $when }</time>
assistants-stop = Stop…
assistants-stop-what = Stop the access of { $assistant } to { $server }
assistants-keep = Keep
assistants-stop-now = Stop its access
assistants-approvals = What you allowed for more than one call
assistants-may-use = { $assistant } <dim>may use</dim> { $what }
assistants-may-use-where = of { $connector } through { $server }, with whatever it sends
assistants-until-taken-back = until you take it back
assistants-for-session = for this session
assistants-ask-again = Ask again
assistants-ask-again-what = Ask again before { $assistant } uses { $what }

## The assistants that were found on this computer

local-title = On this computer
local-none = None of the assistants that Deskgate knows was found on this computer. Give yours one of these addresses:
local-connected = connected to { $servers }
local-not-connected = not connected
local-others = · { $count ->
        [one] { $count } server
       *[other] { $count } servers
    } outside Deskgate: { $names }
local-connect = Connect
local-connect-to = Connect to { $server }
local-connect-what = Connect { $assistant } to { $server }
local-disconnect = Disconnect
local-disconnect-from = Disconnect from { $server }
local-disconnect-what = Disconnect { $assistant } from { $server }
local-import = Import its servers
local-import-what = Import its servers: { $assistant }
local-import-into = Import its servers into { $server }
local-import-into-what = Import its servers into { $server }: { $assistant }
local-give-back = Give back { $names }
local-give-back-what = Give back { $names }: { $assistant }
local-trouble = { $happened } { $todo }
local-address-old = Its address of { $server } is an earlier one. Connect it again.
local-change = The change of { $assistant }
local-change-in = This changes in { $file }, and nothing else:
local-change-make = Make this change
local-connected-already = It is connected to { $server } already.
local-connected-now = Connected to { $server }. { $next }
local-disconnected-exact = No longer connected to { $server }. Its file is as it was before, byte for byte. Start it anew.
local-disconnected = No longer connected to { $server }. Its entry is gone, and everything else in the file stayed. Start it anew.
local-import-servers = The servers of { $assistant }
local-import-means = This makes connectors of these servers, seals their secrets and takes them out of the assistant’s file. Secrets are shown as dots:
local-import-make = Import them
local-imported = These are connectors here now, and their secrets are sealed: { $names }. Connect it, if it is not, and start it anew.
local-give-back-means = This puts the servers back as they were, with their secrets, and removes their connectors here:
local-give-back-make = Give them back
local-given-back-exact = It has these itself again: { $names }. Its file is as it was before, byte for byte. Start it anew.
local-given-back = It has these itself again: { $names }. Everything else in its file stayed. Start it anew.
diff-added = added:
diff-removed = removed:

## Activity

activity-empty = Nothing was done yet
activity-empty-what = Each call that an assistant makes in your name appears here, allowed or not, with the rule that decided.
activity-search = Search
activity-outcome = Outcome
activity-all = All
activity-full = One call in full
activity-close = Close the record
activity-when = When
activity-when-took = { $when }, took { $took }
activity-who = Who
activity-who-through = { $assistant }, through { $server }
activity-request = Request
activity-decided = Decided by
activity-decided-by = { $rules } <dim>(policy { $policy })</dim>
activity-decided-by-none = no rule allows it <dim>(policy { $policy })</dim>
activity-account = Account
activity-recorded = Recorded
activity-record = Record
activity-no-match = No call matches
activity-no-match-what = No call on this computer has these words and this outcome.
activity-looking = Looking further back…
activity-looking-to = Looking further back: { $when }…
activity-over =
    { $count ->
        [one] { $count } call. Earlier ones are not on this computer.
       *[other] { $count } calls. Earlier ones are not on this computer.
    }
save = Save
save-what = Save these calls in a file
save-begun = Saving…
save-under-way = Saving: { counted-calls }…
save-under-way-to = Saving: { counted-calls }, back to { $when }…
save-done = { counted-calls } saved in <code>{ $file }</code>
save-open = Open the folder
calls-time = Time
calls-assistant = Assistant
calls-what = What
calls-outcome = Outcome
outcome-running = Running
outcome-done = Done
outcome-failed = Failed
outcome-denied = Not allowed
outcome-sign-in-needed = Needs sign-in
records-show = Show what is recorded, and who receives it
records-what = the record as it is written
records-gone = The records of this call are not on this computer any more.

## Access

access-empty = Nothing to decide yet
access-empty-what = For each tool of each virtual server, this says whether your assistants may use it, and why not.
access-no-tools = Its tools appear here once its connectors have answered.
access-tool = Tool
access-access = Access
access-why = Why
access-allowed = Allowed
access-asks = Asks you
access-not-allowed = Not allowed

## Settings

settings-organisation = { $organisation } manages Deskgate on this computer. What it has decided cannot be changed here.
settings-machine = IT has set some of this on this computer; that cannot be changed here. The rest is a file of yours, where it counts.
settings-own = You decide. The settings are a file; Deskgate reads it again by itself when you have changed it.
settings-managed-by = Managed by { $organisation }
sign-out-signed-in = Signed in as { $person }
sign-out-ends = What ends
sign-out-stays = What stays
sign-out-stay = Stay signed in
sign-out-now = Sign out
sign-out-forget = Sign out and forget my accounts
sign-out = Sign out…
sign-out-what = Sign out of { $organisation }

## About

about-program = This program
about-version = Version
about-system = System
about-system-web-view = { $system }, WebKit { $version }
about-address = Address
about-address-none = not listening
about-files = Files
about-updates = Updates
about-updates-install = Install
about-updates-look = Look for updates again
about-updates-restart = Restart to use it
about-who = Who decides
about-organisation = Organisation
about-organisation-none = none, you use Deskgate personally
about-settings-from = Settings from
about-fingerprint = Its fingerprint
about-policy = Policy
about-policy-since = { $version }, since { $when }
about-policy-digest = Policy digest
about-audit = Audit record
about-audit-whole = whole when last checked, { $when }
about-audit-not-checked = not checked since the start
about-wrong = When something is wrong
about-wrong-what = The same is said in a terminal, also while Deskgate does not run:
about-command = Command
# Is typed, and the same in every language.
about-command-doctor = deskgate doctor
checks-title = Is it healthy?
checks-again = Look again
checks-looking = Looking…
checks-well =
    { $count ->
        [one] Nothing is wrong; { $count } thing was looked at.
       *[other] Nothing is wrong; { $count } things were looked at.
    }
checks-problems =
    { $problems ->
        [one] { $problems } problem
       *[other] { $problems } problems
    }; { $count ->
        [one] { $count } thing was looked at.
       *[other] { $count } things were looked at.
    }
checks-list = What was looked at
checks-ok = { $title }<unseen>, well:</unseen>
checks-note = { $title }<unseen>, worth knowing:</unseen>
checks-problem = { $title }<unseen>, a problem:</unseen>
checks-not-checked = { $title }<unseen>, not checked:</unseen>

## The windows that ask

question-ended = This request has ended. You can close the window.
question-time-left = Time left
question-denied-in = Denied by itself in { $time }
question-calls-itself = It calls itself
question-deny = Deny

## Diagnostics that IT asks for

diagnostics-asked-by = Asks
diagnostics-asked-by-nobody = Somebody at your organisation’s server, without a name
diagnostics-reason = Says
diagnostics-quoted = “{ $reason }”
diagnostics-since = Since
diagnostics-would-go = What would be sent
diagnostics-collecting = Collecting what would be sent…
diagnostics-not-in-it = Not in it: passwords and other secrets, your calls, and who is signed in where. Open a part to read all of it. Exactly this is sent.
diagnostics-entry = { $about } ({ $size } KiB)
diagnostics-nothing = Nothing is collected, and nothing was sent.
diagnostics-again = Collect again
diagnostics-ends = If you do nothing, the request ends { $time } and nothing is sent.
diagnostics-refuse = Do not send
diagnostics-send = Send
diagnostics-sending = Sending…

## Consent: may an assistant come in?

consent-title = { $assistant } wants to use { $server }
consent-described = as { $host } describes it
consent-really = It really is
consent-process = { $path }, process { $process }
consent-differs = This does not look like { $assistant }.
consent-through = Whatever comes through <strong>{ $socket }</strong>, for as long as it is open: an assistant in a container, or on another computer that you have connected. Deskgate cannot tell which.
consent-opened-by = Opened by
consent-unknown = The program could not be told. Allow it only if you have just started this yourself.
consent-acts-as = It acts as
consent-reach = It will be able to use
consent-reach-all = Whatever { $server } offers.
consent-reach-one = <strong>{ $connector }</strong> <dim>({ $credential })</dim>
consent-until = Until you take it back, which you can do at any time under Assistants.
consent-allow = Allow

## Approval: may this call be made?

approval-title-tool = { $assistant } wants to use { $thing }
approval-title-resource = { $assistant } wants to use the resource { $thing }
approval-title-prompt = { $assistant } wants to use the prompt { $thing }
approval-goes-to = This goes to <strong>{ $connector }</strong> through { $server }.
approval-count =
    { $count ->
        [one] The same call waits { $count } time. Your answer is for all of them.
       *[other] The same call waits { $count } times. Your answer is for all of them.
    }
approval-sends = What it sends
approval-compared-differs = What differs from the last call that you allowed is marked.
approval-compared-same = The same as the last call that you allowed.
approval-sends-nothing = Nothing.
approval-everything = everything
approval-change-new = new
approval-change-other = changed
approval-change-gone = not sent this time
approval-show-all =
    { $count ->
        [one] show all { $count } character
       *[other] show all { $count } characters
    }
approval-before = what it was before
approval-let-in-as = It was let in as
approval-program-unknown = a program that could not be told
approval-session-means = “For this session” allows { $thing } with whatever it sends. You can take that back under Assistants.
approval-always-means = “Always” allows { $thing } with whatever it sends. You can take that back under Assistants.
approval-both-mean = “For this session” and “Always” allow { $thing } with whatever it sends. You can take that back under Assistants.
approval-always = Always
approval-always-tool = Always allow this tool
approval-always-resource = Always allow this resource
approval-always-prompt = Always allow this prompt
approval-session = For this session
approval-session-tool = Allow this tool for this session
approval-session-resource = Allow this resource for this session
approval-session-prompt = Allow this prompt for this session
approval-once = Allow once

# From here on: what the application itself says (`src-tauri/crates/say`), in the tray, in notifications and in what windows
# show of its state.

## How it is, in a word and in a sentence

status-starting = Starting
status-ready = Ready
status-attention = Needs you
status-paused = Paused
status-offline = Offline
status-refused = Stopped
status-expired = Signed out
summary-starting = Starting.
summary-refused = Every call is refused.
summary-paused = Paused. Calls from your assistants are refused until you resume.
summary-away = This computer is in no network. What is on it still works; the rest goes on by itself once the network is back.
summary-offline = { $organisation } cannot be reached. What was allowed before still works.
summary-waiting =
    { $count ->
        [one] One request is waiting for you.
       *[other] { $count } requests are waiting for you.
    }
summary-sign-in = Sign in to { $organisation } to let your assistants work.
summary-connector = A connector needs you.
summary-silent = { $connector } does not answer.
summary-silent-several =
    { $count ->
        [one] { $count } connector does not answer.
       *[other] { $count } connectors do not answer.
    }
summary-signing-in = Signing in to { $organisation }.
summary-nothing-offered = Ready, but { $organisation } offers you nothing yet.
summary-nothing-set-up = Ready, but nothing is set up yet.
summary-ready =
    Ready. { $assistants ->
        [one] { $assistants } assistant
       *[other] { $assistants } assistants
    }, { $connectors ->
        [one] { $connectors } connector
       *[other] { $connectors } connectors
    }.
grace-left = What { $organisation } has decided has run out; it is obeyed for { $time } more, then no call is made. Connect to the network.

## Who is there

person-organisation = your organisation
person-local = Personal, { $person }
person-signed-in = { $person }, { $organisation }
person-signed-out = Not signed in to { $organisation }
person-signing-in = Signing in to { $organisation }
person-expired = { $person }, signed out
person-assistant = An assistant
person-program = a program that could not be told
list-and = { $first } and { $last }

## What signing out means

farewell-ends-assistants = Your assistants can do nothing until you have signed in again.
farewell-ends-sign-in = You are signed out of { $organisation } here. Where it has a page for signing out there too, that opens: go on there.
farewell-stays-assistants =
    { $count ->
        [0] Assistants that you let in stay connected, and work again once you are back.
        [one] Your assistant stays connected, and works again once you are back.
       *[other] Your { $count } assistants stay connected, and work again once you are back.
    }
farewell-stays-record = The record of what was done in your name stays, here and at { $organisation }.
farewell-accounts =
    { $count ->
        [one] Your account at { $names } stays here, locked: nobody can use it until you have signed in again.
       *[other] Your accounts at { $names } stay here, locked: nobody can use them until you have signed in again.
    }

## What waits for the person

waits-sign-in = Sign in to { $name }
waits-sign-out = Sign out of { $name }
waits-consent = { $assistant } wants to use { $server }
waits-tool = { $assistant } wants to use { $tool }
waits-resource = { $assistant } wants to use a resource
waits-prompt = { $assistant } wants to use the prompt { $prompt }
waits-sign-in-what = Your assistants wait until you have signed in.
waits-sign-out-what = Deskgate has signed you out. The page that was opened signs you out of { $name } as well.
waits-account-what = An assistant called { $connector }, which needs your own account. It is waiting.
waits-code-what = Open { $page } on a device with a browser and type the code { $code }. That signs in this computer to { $name } in your name. Type it only if you wanted to sign in here just now, and give it to nobody.
waits-program = The program that asks is { $program }.
waits-program-unknown = The program that asks could not be told.
waits-through = It is for whatever comes through { $socket }: an assistant in a container or on another computer. Opened by { $program }.
waits-returns-to-program = the program that asks
waits-returns-to-opener = the program that opens { $scheme }:
waits-approval = This goes to { $connector } and needs your approval.
waits-approval-count =
    { $count ->
        [one] { $why } The same call waits { $count } time.
       *[other] { $why } The same call waits { $count } times.
    }

waits-diagnostics = Your IT department asks for diagnostics
waits-diagnostics-what = { $by } asks, and says: “{ $reason }” You see what would be sent first. Nothing is sent unless you say so.
waits-diagnostics-nobody = They say: “{ $reason }” You see what would be sent first. Nothing is sent unless you say so.

## Notifications: they are seen on locked screens

notice-open = Open
notice-deny = Deny
notice-sign-in = Your assistant is waiting.
notice-code = It goes on on another device. See the code in Deskgate, or with: deskgate pending
notice-consent = Open Deskgate to allow or deny it.
notice-approval = Open Deskgate to look at the request and decide.
notice-diagnostics = Open Deskgate to see what would be sent, and decide. Nothing is sent unless you say so.
notice-several = Several requests wait for you
notice-several-what = Your assistants are waiting. Open Deskgate to answer them.
notice-not-signed-in = You are not signed in to { $name }
notice-gave-up = The sign-in was given up. Your assistants can do nothing until you have signed in.
notice-too-late = Nobody signed in in time. Your assistants can do nothing until you have signed in.
notice-gave-up-account = The sign-in was given up. Your assistants cannot use { $connector } until you have signed in.
notice-too-late-account = Nobody signed in in time. Your assistants cannot use { $connector } until you have signed in.
notice-sign-in-again = Sign in
notice-stopped-at = It leads to { $host }, which your organisation does not let sign-in windows show. Nothing was sent there. If it belongs to your sign-in, tell your IT.
notice-in-browser = Its page does not work in a window of Deskgate, so it was opened in your browser.
notice-organisation = Deskgate waits for your organisation
notice-organisation-what = { $host } does not answer. Deskgate goes on by itself as soon as it does. Check the network connection.
notice-overheard = Your assistants will ask for access again
notice-overheard-what = While Deskgate was away, another program took its port and may have heard what they said there. Allow those that you use.

## The tray

tray-name = Deskgate
tray-tooltip = Deskgate: { $summary }
tray-open = Open Deskgate
tray-help = Get help
tray-sign-out = Sign out…
tray-quit = Quit Deskgate
tray-question = { $title }…
tray-more-questions =
    { $count ->
        [one] { $count } more request…
       *[other] { $count } more requests…
    }
tray-sign-in = Sign in to { $name }…
tray-keychain = Try the keychain again
tray-more-outages =
    { $count ->
        [one] { $count } more connector not answering
       *[other] { $count } more connectors not answering
    }
tray-no-servers = No virtual servers yet
tray-servers = Virtual servers
tray-copy-url = Copy URL of { $server }
tray-assistants = Assistants
tray-stop = Stop the access of { $assistant } to { $server }
tray-all-assistants = Look at all of them…
tray-activity = Recent activity
tray-all-activity = All activity…
tray-audit-broken = Audit: the record was changed
tray-audit-here-only = Audit: { counted-records }, on this computer only
tray-audit-in-sync = Audit: { counted-records }, in sync
tray-audit-to-send = Audit: { counted-records }, { $rest } still to be sent
tray-resume = Resume
tray-pause = Pause
tray-pause-short = For 15 minutes
tray-pause-tomorrow = Until tomorrow
tray-pause-open = Until I resume
tray-call-done = { $assistant }: { $thing } of { $connector }
tray-call-running = { $assistant }: { $thing } of { $connector }, running
tray-call-denied = { $assistant }: { $thing } of { $connector }, not allowed
tray-call-sign-in = { $assistant }: { $thing } of { $connector }, needed a sign-in
tray-call-failed = { $assistant }: { $thing } of { $connector }, failed
tray-a-prompt = a prompt
tray-a-resource = a resource

## Connectors and accounts

outage-kept = { $connector } stopped answering { $when }. Its tools are the last known ones.
outage-withdrawn = { $connector } stopped answering { $when }. Its tools are withdrawn until it does.
outage-silent = { $connector } stopped answering { $when }.
account-none = no account needed
account-own = your { $connector } account
account-shared = shared by IT, stays at { $organisation }
account-lent = shared by { $organisation }, lent to this computer while it is used
runs-here = { $program }, on this computer
runs-at-organisation = at { $organisation }
log-started = { $program } started
log-ended-by-itself = ended by itself ({ $status })
log-ended = Deskgate ended it

## Calls and their records

call-tool-error = The tool reported an error
call-needed-sign-in = Needed a sign-in
call-denied = Not allowed: { $reason }
call-failed = Failed: { $reason }
call-not-done = the connector did not do it
call-given-up = it was given up
call-unknown = whether it took effect is not known
call-the-prompt = the prompt { $prompt }
record-before = Before the call
record-outcome = What became of it
record-denial = The refusal
record-other = Record
record-stays = Stays on this computer. Nobody else receives it.
record-waits = Waits on this computer to be sent to { $organisation }.
record-received = { $organisation } has received exactly this.
record-collected = The collector of { $organisation } has received this, as a security event.
record-refused = { $organisation } could not read this, so it stays on this computer.

## What is decided for the person

setting-from = Settings come from
setting-from-organisation = { $organisation } ({ $host })
setting-connectors = Connectors and virtual servers
setting-connectors-count = { $connectors } and { $servers }
setting-sign-in = Sign-in opens
setting-sign-in-window = in a window of Deskgate, or in the browser where that is needed
setting-sign-in-browser = always in the browser
setting-records = Records of calls are kept
setting-records-organisation = on this computer and at { $organisation }
setting-records-here = on this computer only
setting-address = Address for assistants
setting-address-none = not listening
setting-by-it = IT ({ $place })
machine-config-url = Organisation's address
machine-fingerprint = Organisation's fingerprint
machine-enrolment-token = Enrolment token
machine-enrolment-token-set = set
machine-user-override = Settings of your own
machine-user-override-counts = count for what is not set for you
machine-user-override-not = do not count on this computer
machine-terminal-answers = Answers in a terminal
machine-autostart = Starts when you sign in
machine-updates = Updates by itself
machine-updates-by = { $yes }
machine-hidden = Left out of menus
machine-hidden-none = nothing
machine-support = Help is found at
machine-yes = yes
machine-no = no

## Roughly how long

time-just-now = just now
ago-minutes =
    { $count ->
        [one] { $count } minute ago
       *[other] { $count } minutes ago
    }
ago-hours =
    { $count ->
        [one] { $count } hour ago
       *[other] { $count } hours ago
    }
ago-days =
    { $count ->
        [one] { $count } day ago
       *[other] { $count } days ago
    }
span-seconds =
    { $count ->
        [one] { $count } second
       *[other] { $count } seconds
    }
span-minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
span-hours =
    { $count ->
        [one] { $count } hour
       *[other] { $count } hours
    }

## Updates of the program

update-notice = Deskgate { $version } is ready
update-notice-what = Install it under About and diagnostics. An administrator may have to agree.
update-elsewhere = by whatever installed it
update-off = switched off by your IT department
update-unable = by whatever installed it; this version cannot check updates
update-looking = looking for one
update-current = up to date
update-fetching = fetching version { $version }, { $percent } %
update-ready = Version { $version } is ready.
update-ready-older = Your organisation goes back to version { $version }. Your IT department installs it.
update-for-it = Version { $version } is there. Your IT department installs it.
update-installing = installing version { $version }
update-installed = Version { $version } is installed.
