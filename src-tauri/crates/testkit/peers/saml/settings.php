<?php
// What the test has chosen, read anew with each request. JSON in a file beside the keys.
function settings(): array
{
    return json_decode(file_get_contents(getenv('DESKGATE_SAML_SETTINGS')), true, 32, JSON_THROW_ON_ERROR);
}
