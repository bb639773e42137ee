<?php
require_once dirname(__DIR__) . '/settings.php';

$folder = dirname(getenv('DESKGATE_SAML_SETTINGS'));

$config = [
    'baseurlpath' => settings()['base'],
    'certdir' => $folder . '/',
    'loggingdir' => $folder . '/',
    'datadir' => $folder . '/',
    'tempdir' => $folder . '/tmp',
    'metadatadir' => dirname(__DIR__) . '/metadata/',
    'attributenamemapdir' => getenv('DESKGATE_SAML_HOME') . '/etc/simplesamlphp/attributemap/',
    'technicalcontact_email' => 'nobody@acme.test',
    'timezone' => 'UTC',
    // Good for this one run.
    'secretsalt' => settings()['salt'],
    'auth.adminpassword' => settings()['salt'],
    'showerrors' => true,
    'errorreporting' => false,
    'logging.level' => SimpleSAML\Logger::INFO,
    'logging.handler' => 'stderr',
    'enable.saml20-idp' => true,
    'session.duration' => settings()['sessionSeconds'],
    'session.phpsession.savepath' => $folder . '/sessions',
    // Plain HTTP on this machine.
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'language.cookie.secure' => false,
    'language.cookie.samesite' => null,
    'authproc.idp' => [],
    'metadata.sources' => [['type' => 'flatfile']],
    'store.type' => 'phpsession',
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
];
