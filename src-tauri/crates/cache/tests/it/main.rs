//! The cache from outside.

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tables;
