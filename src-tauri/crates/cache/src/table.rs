//! The cache and its tables as the rest of the program sees them.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::{Batch, Db, Tree};

use crate::chunk;
use crate::store::{self, Recovery};

/// The store. Clones share it. Every call may touch the disk: a few microseconds, or milliseconds for a cold page.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

/// One table: values of one type by a text key. Where the store fails, reading is a miss and writing does nothing.
pub struct Table<T> {
    cache: Cache,
    name: String,
    value: PhantomData<fn(T) -> T>,
}

struct Inner {
    dir: PathBuf,
    current: Mutex<Current>,
    // One writer: a value's pieces and the count of the value before it belong together.
    writing: Mutex<()>,
}

struct Current {
    db: Option<Db>,
    // Counts the times that the store was begun anew, so that one fault seen by two callers does so once.
    era: u64,
    recovery: Recovery,
}

impl Cache {
    /// Opens the store in `dir`, whatever its state: it is begun anew where it is damaged. Returns within seconds; blocks.
    pub fn open(dir: &Path) -> (Self, Recovery) {
        let (db, recovery) = store::open(dir);
        let current = Mutex::new(Current { db, era: 0, recovery: recovery.clone() });
        (Self(Arc::new(Inner { dir: dir.to_owned(), current, writing: Mutex::default() })), recovery)
    }

    /// What became of the content, most recently: damage may also show while the program runs.
    pub fn recovery(&self) -> Recovery {
        lock(&self.0.current).recovery.clone()
    }

    /// Hands what is buffered to the operating system, so that it outlives this process even if that is killed. Dropping
    /// the last handle does the same.
    pub fn flush(&self) {
        self.with_db(|db| db.flush());
    }

    /// The table `name`. All users of a name agree on its type; a value of another type is a miss.
    pub fn table<T: Serialize + DeserializeOwned>(&self, name: &str) -> Table<T> {
        Table { cache: self.clone(), name: name.to_owned(), value: PhantomData }
    }

    fn with<R>(&self, name: &str, call: impl FnOnce(&Tree) -> sled::Result<R>) -> Option<R> {
        self.with_db(|db| call(&db.open_tree(name)?))
    }

    fn with_db<R>(&self, call: impl FnOnce(&Db) -> sled::Result<R>) -> Option<R> {
        let (db, era) = {
            let current = lock(&self.0.current);
            (current.db.clone()?, current.era)
        };
        // This handle may be the last one: dropping it is guarded too.
        let guarded = store::guarded(move || {
            let result = call(&db);
            drop(db);
            result
        });
        guarded.inspect_err(|why| self.begin_anew(era, why)).ok()
    }

    fn begin_anew(&self, era: u64, why: &str) {
        let mut current = lock(&self.0.current);
        if current.era != era {
            return;
        }
        store::close(current.db.take());
        let (db, recovery) = store::begin_anew(&self.0.dir, why.to_owned());
        *current = Current { db, era: era + 1, recovery };
    }
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    /// Stores a value, replacing what was there.
    pub fn put(&self, key: &str, value: &T) {
        let json = match serde_json::to_vec(value) {
            Ok(json) => json,
            Err(fault) => {
                tracing::warn!(table = %self.name, %fault, "a value cannot be written as JSON");
                return;
            }
        };
        self.write(|tree, batch| chunk::write(tree, batch, key, &json));
    }

    /// Reads a value.
    pub fn get(&self, key: &str) -> Option<T> {
        let json = self.cache.with(&self.name, |tree| chunk::read(tree, key))??;
        serde_json::from_slice(&json).ok()
    }

    /// Removes a value.
    pub fn remove(&self, key: &str) {
        self.write(|tree, batch| chunk::remove(tree, batch, key));
    }

    /// Removes every value.
    pub fn clear(&self) {
        let _one = lock(&self.cache.0.writing);
        self.cache.with(&self.name, Tree::clear);
    }

    /// All keys with their values, in the order of the keys. What changes meanwhile may or may not be seen.
    pub fn iter(&self) -> impl Iterator<Item = (String, T)> {
        self.keys().into_iter().filter_map(|key| {
            let value = self.get(&key)?;
            Some((key, value))
        })
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        let keys = |tree: &Tree| {
            let stored = tree.scan_prefix(chunk::HEAD).keys().collect::<sled::Result<Vec<_>>>()?;
            Ok(stored.iter().filter_map(|stored| chunk::key_of(stored)).collect())
        };
        self.cache.with(&self.name, keys).unwrap_or_default()
    }

    fn write(&self, change: impl FnOnce(&Tree, &mut Batch) -> sled::Result<()>) {
        let _one = lock(&self.cache.0.writing);
        self.cache.with(&self.name, |tree| {
            let mut batch = Batch::default();
            change(tree, &mut batch)?;
            tree.apply_batch(batch)
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let current = self.current.get_mut().unwrap_or_else(PoisonError::into_inner);
        store::close(current.db.take());
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), name: self.name.clone(), value: PhantomData }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("dir", &self.0.dir).field("recovery", &self.recovery()).finish()
    }
}

impl<T> std::fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Table").field(&self.name).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
