//! Has shared credentials lent to programs here that must hold them.

use connector::{BrokerFault, Lender, Lent, Loan};
use model::BoxFuture;
use org::Org;

use super::broker::refused;

pub(crate) struct OrgLender(pub(crate) Org);

impl Lender for OrgLender {
    fn lend<'a>(&'a self, loan: Loan<'a>) -> BoxFuture<'a, Result<Lent, BrokerFault>> {
        Box::pin(async move {
            let Loan { connector, credential, server, caller } = loan;
            let loan = org::Loan {
                connector,
                credential,
                server,
                subject: caller.subject,
                client_id: caller.client_id,
                client_name: caller.client_name,
                program: caller.program,
            };
            let org::Lent { secret, version, ended, in_use } =
                self.0.lease(loan).await.map_err(|fault| refused(&fault))?;
            Ok(Lent { secret, version, ended, in_use })
        })
    }
}
