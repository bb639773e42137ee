//! Windows: `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Deskgate`, which only administrators and group policy write.
//!
//! Not compiled or run on Windows yet; what becomes of the values is tested on every platform.

use windows_registry::{LOCAL_MACHINE, Type, Value as RegistryValue};

use crate::template::POLICY_KEY;
use crate::{Managed, ManagedFault, Raw, Value};

/// `ERROR_FILE_NOT_FOUND` (winerror.h) as an HRESULT.
const NOT_FOUND: i32 = 0x8007_0002_u32.cast_signed();

/// Reads what is set on this machine.
///
/// # Errors
/// A [`ManagedFault`].
pub(crate) fn read() -> Result<Option<Managed>, ManagedFault> {
    let from = format!(r"HKLM\{POLICY_KEY}");
    let unreadable = |fault: windows_registry::Error| ManagedFault::Unreadable {
        from: from.clone(),
        why: fault.message(),
    };
    let key = match LOCAL_MACHINE.open(POLICY_KEY) {
        Ok(key) => key,
        Err(fault) if fault.code().0 == NOT_FOUND => return Ok(None),
        Err(fault) => return Err(unreadable(fault)),
    };
    let values = key.values().map_err(unreadable)?;
    let raw: Vec<Raw> =
        values.map(|(name, value)| Raw { name, value: typed(&value), from: from.clone() }).collect();
    Managed::parse(from.clone(), raw)
}

fn typed(value: &RegistryValue) -> Value {
    let typed = match value.ty() {
        Type::String | Type::ExpandString => String::try_from(value.clone()).map(Value::Text),
        Type::U32 => u32::try_from(value.clone()).map(|number| Value::Number(number.into())),
        Type::U64 => u64::try_from(value.clone()).map(Value::Number),
        Type::MultiString => Vec::<String>::try_from(value.clone()).map(Value::List),
        Type::Bytes | Type::Other(_) => return Value::Other,
    };
    typed.unwrap_or(Value::Other)
}
