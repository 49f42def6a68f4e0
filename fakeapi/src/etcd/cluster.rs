//! Service `Cluster`: who is in.

use tonic::{Request, Response, Status};

use super::call::{Etcd, member};
use super::generated::etcdserverpb::cluster_server::Cluster;
use super::generated::etcdserverpb::{
    Member as Listed, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse,
};
use super::member::{Agreement, Moment};
use super::status;
use crate::cluster::members::{Member as Entry, MemberChange, Members, Refused};

/// The most bytes of a peer URL: an API that anybody with a certificate can call must not fill
/// memory, nor the journal.
const MAX_URL_BYTES: usize = 1024;

type Answer<T> = Result<Response<T>, Status>;

fn listed(member: &Entry) -> Listed {
    Listed {
        id: member.id,
        name: member.node.as_deref().unwrap_or_default().to_owned(),
        peer_ur_ls: member.peer_urls.clone(),
        client_ur_ls: member.client_urls.clone(),
        is_learner: member.learner,
    }
}

fn list(members: &Members) -> Vec<Listed> {
    members.list.iter().map(listed).collect()
}

/// Makes a change that the members agree upon.
async fn change<T>(
    request: &Request<T>,
    change: impl FnOnce(&T) -> MemberChange,
) -> Result<(Moment, Members), Status> {
    let member = member(request)?;
    let change = change(request.get_ref());
    let moment = member.admit(request.metadata(), false)?;
    if moment.view.members.leader.is_none() {
        // A member looks by itself whether a quorum would be left, before it asks for agreement.
        let looked = moment.view.members.check(&change);
        if let Err(why @ (Refused::NotEnoughStarted | Refused::Unhealthy)) = looked {
            return Err(why.into());
        }
    }
    let agreement = match &change {
        // Only the leader knows how far a learner is.
        MemberChange::Promote { .. } => Agreement::Forward,
        _ => Agreement::Reconfiguration,
    };
    let moment = member.agree(request.metadata(), agreement).await?;
    let members = member.backing.change(change).await?;
    Ok((moment, members))
}

/// Refuses what etcd would not take for the URLs of a member: `scheme://host:port` and no path,
/// and one that is longer than any host can be.
fn check_urls(urls: &[String]) -> Result<(), Status> {
    let good = |url: &String| {
        if url.len() > MAX_URL_BYTES {
            return false;
        }
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let unix = matches!(scheme, "unix" | "unixs");
        let port = rest
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        unix || matches!(scheme, "http" | "https") && port
    };
    if !urls.is_empty() && urls.iter().all(good) { Ok(()) } else { Err(status::bad_urls()) }
}

#[tonic::async_trait]
impl Cluster for Etcd {
    async fn member_add(&self, request: Request<MemberAddRequest>) -> Answer<MemberAddResponse> {
        member(&request)?.admit(request.metadata(), false)?;
        check_urls(&request.get_ref().peer_ur_ls)?;
        let before = member(&request)?.now()?.view.members;
        let (moment, members) = change(&request, |asked| MemberChange::Add {
            peer_urls: asked.peer_ur_ls.clone(),
            learner: asked.is_learner,
        })
        .await?;
        let new = members.list.iter().find(|new| {
            before.get(new.id).is_none() && new.peer_urls == request.get_ref().peer_ur_ls
        });
        Ok(Response::new(MemberAddResponse {
            header: Some(moment.header_at(0)),
            member: new.map(listed),
            members: list(&members),
        }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Answer<MemberRemoveResponse> {
        let (moment, members) =
            change(&request, |asked| MemberChange::Remove { id: asked.id }).await?;
        let (header, members) = (Some(moment.header_at(0)), list(&members));
        Ok(Response::new(MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Answer<MemberUpdateResponse> {
        let (moment, members) = change(&request, |asked| MemberChange::Update {
            id: asked.id,
            peer_urls: asked.peer_ur_ls.clone(),
        })
        .await?;
        let (header, members) = (Some(moment.header_at(0)), list(&members));
        Ok(Response::new(MemberUpdateResponse { header, members }))
    }

    async fn member_list(&self, request: Request<MemberListRequest>) -> Answer<MemberListResponse> {
        let member = member(&request)?;
        let moment = if request.get_ref().linearizable {
            member.agree(request.metadata(), Agreement::Read).await?
        } else {
            member.admit(request.metadata(), false)?
        };
        let (header, members) = (Some(moment.header_at(0)), list(&moment.view.members));
        Ok(Response::new(MemberListResponse { header, members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Answer<MemberPromoteResponse> {
        let (moment, members) =
            change(&request, |asked| MemberChange::Promote { id: asked.id }).await?;
        let (header, members) = (Some(moment.header_at(0)), list(&members));
        Ok(Response::new(MemberPromoteResponse { header, members }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_bounded() {
        let url = |len: usize| vec![format!("https://{}:2380", "x".repeat(len - 13))];
        assert!(check_urls(&url(MAX_URL_BYTES)).is_ok());
        assert!(check_urls(&url(MAX_URL_BYTES + 1)).is_err());
    }
}
