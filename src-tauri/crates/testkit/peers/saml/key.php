<?php
// Makes a key and its self-signed certificate: key.php FOLDER NAME DAYS
[, $folder, $name, $days] = $argv;
$made = openssl_pkey_new(['private_key_bits' => 2048, 'private_key_type' => OPENSSL_KEYTYPE_RSA]);
$subject = ['commonName' => "Acme identity provider $name"];
$request = openssl_csr_new($subject, $made, ['digest_alg' => 'sha256']);
$certificate = openssl_csr_sign($request, null, $made, (int) $days, ['digest_alg' => 'sha256'], random_int(1, PHP_INT_MAX));
if ($certificate === false || !openssl_x509_export($certificate, $text) || !openssl_pkey_export($made, $key)) {
    fwrite(STDERR, openssl_error_string() . "\n");
    exit(1);
}
umask(0077);
file_put_contents("$folder/$name.key", $key);
file_put_contents("$folder/$name.crt", $text);
