//! The secrets that devices show with each session and get anew each time: made of the master key, so that after restoring an older
//! database it can be told which of two is the later one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{DeviceId, Digest};

use crate::sealing::MasterKey;

/// What tells these secrets from others.
const PREFIX: &str = "dgd_";

/// Which of a device's secrets it is: later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The database's epoch.
    pub(crate) epoch: u64,
    /// Counts the device's secrets.
    pub(crate) count: u64,
}

/// The secret of a place. Nobody can make one without the master key.
pub(crate) fn secret(key: &MasterKey, device: DeviceId, place: Place) -> String {
    let mut bytes = Vec::with_capacity(48);
    bytes.extend(place.epoch.to_be_bytes());
    bytes.extend(place.count.to_be_bytes());
    bytes.extend(sealed(key, device, place).as_bytes());
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The place of a secret that was really given to the device. `None` for any other, and for those of versions that had no places.
pub(crate) fn place(key: &MasterKey, device: DeviceId, secret: &str) -> Option<Place> {
    let bytes = URL_SAFE_NO_PAD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    let (epoch, rest) = bytes.split_first_chunk()?;
    let (count, proof) = rest.split_first_chunk()?;
    let place = Place { epoch: u64::from_be_bytes(*epoch), count: u64::from_be_bytes(*count) };
    // Compared as digests: how long it takes says nothing of how much was right.
    let is_right = Digest::of(proof) == Digest::of(sealed(key, device, place).as_bytes());
    is_right.then_some(place)
}

fn sealed(key: &MasterKey, device: DeviceId, place: Place) -> Digest {
    let Place { epoch, count } = place;
    key.derived(format!("deskgate/control/device-secret/v1\0{device}\0{epoch}\0{count}").as_bytes())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn only_what_was_given_to_the_device_has_a_place() {
        let key = |seed: u8| MasterKey::parse(&STANDARD.encode([seed; 32])).expect("a key");
        let (device, at) = (DeviceId::new(), Place { epoch: 3, count: 7 });
        let given = secret(&key(1), device, at);
        assert_eq!(place(&key(1), device, &given), Some(at));
        assert_eq!(place(&key(2), device, &given), None, "another master key");
        assert_eq!(place(&key(1), DeviceId::new(), &given), None, "another device");
        let mut bytes = URL_SAFE_NO_PAD.decode(&given[PREFIX.len()..]).expect("base64");
        bytes[15] += 1;
        let later = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(place(&key(1), device, &later), None, "nobody makes a later one of it");
        for nonsense in ["", "dgd_", "dgd_AAAA", "other"] {
            assert_eq!(place(&key(1), device, nonsense), None, "{nonsense}");
        }
        assert!(Place { epoch: 4, count: 1 } > at && Place { epoch: 3, count: 8 } > at);
    }
}
