<?php
require_once dirname(__DIR__) . '/settings.php';

foreach (settings()['providers'] as $provider) {
    $metadata[$provider['entityId']] = [
        'AssertionConsumerService' => $provider['acs'],
        'NameIDFormat' => settings()['nameIdFormat'],
        'simplesaml.nameidattribute' => 'uid',
        'simplesaml.attributes' => true,
        'saml20.sign.response' => settings()['signsResponse'],
        'saml20.sign.assertion' => settings()['signsAssertion'],
        'assertion.encryption' => false,
        'signature.algorithm' => settings()['signatureAlgorithm'],
    ];
}
