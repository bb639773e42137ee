### The words of Deskgate's windows, in Project Fluent's syntax. Nothing else in the windows says anything by itself.
###
### Messages are whole sentences; ids begin with the place where they stand. Plain words: see "Words" in the design of the
### interface. Never upstream, downstream, OAuth, PKCE, lease, DPoP, JSON-RPC outside `about-…`.
### A variable that is counted is a number and is written as the person's computer writes numbers.
### <code>, <strong>, <dim>, <unseen> and <time> mark a part of a sentence; nothing else in angle brackets has a meaning.

## Times and lengths

time-soon = in a moment
time-just-now = just now
time-milliseconds = { $count } ms
time-seconds = { $count } s

## Counted things, for use within sentences

counted-records =
    { $count ->
        [one] { $count } record
       *[other] { $count } records
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
sidebar-starting = Starting
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
welcome-reach-or-write = Or put this into <code>{ $file }</code> and name a folder of yours; Deskgate reads the file again by itself.
welcome-reach-write = Put this into <code>{ $file }</code> and name a folder of yours; Deskgate reads the file again by itself.
welcome-example = Example settings
welcome-example-connector = My documents
welcome-example-server = Everyday
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
connectors-empty-own = What your assistants can reach appears here, once it is in <code>{ $file }</code>.
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

## Consent: may an assistant come in?

consent-title = { $assistant } wants to use { $server }
consent-described = as { $host } describes it
consent-really = It really is
consent-process = { $path }, process { $process }
consent-differs = This does not look like { $assistant }.
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
