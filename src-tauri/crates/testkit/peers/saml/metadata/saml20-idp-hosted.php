<?php
require_once dirname(__DIR__) . '/settings.php';

$metadata[settings()['entityId']] = [
    'host' => '__DEFAULT__',
    'privatekey' => settings()['signsWith'] . '.key',
    'certificate' => settings()['signsWith'] . '.crt',
    'auth' => 'people',
];
