//! Service `Lease`. kube-apiserver leases its events; here they go by themselves, so there are no
//! leases to be found.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::call::{Etcd, draining, member};
use super::generated::etcdserverpb::lease_server::Lease;
use super::generated::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use super::member::Agreement;
use super::status;

#[tonic::async_trait]
impl Lease for Etcd {
    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        Err(status::read_only())
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        Err(status::lease_not_found())
    }

    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let (member, draining) = (member(&request)?, draining(&request));
        member.admit(request.metadata(), false)?;
        let metadata = request.metadata().clone();
        let answers = request.into_inner().then(move |asked| {
            let (member, metadata) = (member.clone(), metadata.clone());
            async move {
                let id = asked?.id;
                let moment = member.agree(&metadata, Agreement::Forward).await?;
                // A lease that is not there has no time left.
                Ok(LeaseKeepAliveResponse { header: Some(moment.header()), id, ttl: 0 })
            }
        });
        let end = async move {
            match draining {
                Some(draining) => draining.begun().await,
                None => std::future::pending().await,
            }
        };
        Ok(Response::new(Box::pin(answers.take_until(Box::pin(end)))))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let moment = member(&request)?.agree(request.metadata(), Agreement::Forward).await?;
        Ok(Response::new(LeaseTimeToLiveResponse {
            header: Some(moment.header()),
            id: request.get_ref().id,
            ttl: -1,
            ..LeaseTimeToLiveResponse::default()
        }))
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        let moment = member(&request)?.admit(request.metadata(), false)?;
        Ok(Response::new(LeaseLeasesResponse { header: Some(moment.header()), leases: Vec::new() }))
    }
}
