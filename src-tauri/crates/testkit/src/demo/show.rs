//! One line for each step, with its time.

use std::future::Future;
use std::time::Duration;

use testkit::PeerFault;
use tokio::time::Instant;

/// A step has failed, and its reason was said.
#[derive(Debug)]
pub(crate) struct Failed;

/// What was shown so far.
#[derive(Debug, Default)]
pub(crate) struct Show {
    passed: usize,
}

impl Show {
    /// Does a step and says how it went.
    ///
    /// # Errors
    /// If the step fails; why was said then.
    pub(crate) async fn step<T>(
        &mut self,
        title: &str,
        act: impl Future<Output = Result<T, PeerFault>>,
    ) -> Result<T, Failed> {
        let start = Instant::now();
        let outcome = act.await;
        let took = seconds(start.elapsed());
        match outcome {
            Ok(value) => {
                self.passed += 1;
                println!("ok      {took}  {title}");
                Ok(value)
            }
            Err(fault) => {
                println!("FAILED  {took}  {title}\n\n{fault}\n");
                Err(Failed)
            }
        }
    }

    /// How many steps went well.
    pub(crate) fn passed(&self) -> usize {
        self.passed
    }
}

fn seconds(took: Duration) -> String {
    format!("{:5.1}s", took.as_secs_f64())
}
