mod crash;
mod faults;
mod journal;
mod receipts;
mod recovery;
mod support;
mod tamper;
