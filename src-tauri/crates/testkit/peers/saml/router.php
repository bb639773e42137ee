<?php
// PHP's own server takes a dot in a path for a file's name: paths below a script are handed to that script here.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (preg_match('#^(/[a-z0-9/]*\.php)(/[^?]*)?$#D', $path, $parts) === 1) {
    $script = $_SERVER['DOCUMENT_ROOT'] . $parts[1];
    if (is_file($script)) {
        $_SERVER['SCRIPT_NAME'] = $parts[1];
        $_SERVER['SCRIPT_FILENAME'] = $script;
        $_SERVER['PATH_INFO'] = $parts[2] ?? '';
        $_SERVER['PHP_SELF'] = $path;
        chdir(dirname($script));
        require $script;
        return true;
    }
}
return false;
