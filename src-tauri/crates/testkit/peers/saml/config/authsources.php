<?php
require_once dirname(__DIR__) . '/settings.php';

$config = ['people' => ['exampleauth:UserPass']];
foreach (settings()['people'] as $person) {
    $config['people'][$person['login'] . ':' . $person['password']] = $person['attributes'];
}
