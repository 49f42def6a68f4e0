//! Service `Auth` of members whose authentication is off, as kubeadm leaves it: certificates are
//! all that is asked for, and there are no users and no roles.

use tonic::{Request, Response, Status};

use super::call::{Etcd, member};
use super::generated::etcdserverpb as pb;
use super::generated::etcdserverpb::auth_server::Auth;
use super::member::Agreement;
use super::status;

type Answer<T> = Result<Response<T>, Status>;

/// The revision of users and roles that nobody ever changed.
const AUTH_REVISION: u64 = 1;

/// Answers what all members agree to refuse.
async fn refuse<T, U>(request: &Request<T>, why: fn() -> Status) -> Answer<U> {
    member(request)?.agree(request.metadata(), Agreement::Proposal).await?;
    Err(why())
}

#[tonic::async_trait]
impl Auth for Etcd {
    async fn auth_status(
        &self,
        request: Request<pb::AuthStatusRequest>,
    ) -> Answer<pb::AuthStatusResponse> {
        let moment = member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        Ok(Response::new(pb::AuthStatusResponse {
            header: Some(moment.header()),
            enabled: false,
            auth_revision: AUTH_REVISION,
        }))
    }

    async fn auth_disable(
        &self,
        request: Request<pb::AuthDisableRequest>,
    ) -> Answer<pb::AuthDisableResponse> {
        let moment = member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        Ok(Response::new(pb::AuthDisableResponse { header: Some(moment.header()) }))
    }

    async fn user_list(
        &self,
        request: Request<pb::AuthUserListRequest>,
    ) -> Answer<pb::AuthUserListResponse> {
        let moment = member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        let header = Some(moment.header());
        Ok(Response::new(pb::AuthUserListResponse { header, users: Vec::new() }))
    }

    async fn role_list(
        &self,
        request: Request<pb::AuthRoleListRequest>,
    ) -> Answer<pb::AuthRoleListResponse> {
        let moment = member(&request)?.agree(request.metadata(), Agreement::Proposal).await?;
        let header = Some(moment.header());
        Ok(Response::new(pb::AuthRoleListResponse { header, roles: Vec::new() }))
    }

    async fn user_add(
        &self,
        request: Request<pb::AuthUserAddRequest>,
    ) -> Answer<pb::AuthUserAddResponse> {
        refuse(&request, status::read_only).await
    }

    async fn user_get(
        &self,
        request: Request<pb::AuthUserGetRequest>,
    ) -> Answer<pb::AuthUserGetResponse> {
        refuse(&request, status::user_not_found).await
    }

    async fn user_delete(
        &self,
        request: Request<pb::AuthUserDeleteRequest>,
    ) -> Answer<pb::AuthUserDeleteResponse> {
        refuse(&request, status::user_not_found).await
    }

    async fn user_change_password(
        &self,
        request: Request<pb::AuthUserChangePasswordRequest>,
    ) -> Answer<pb::AuthUserChangePasswordResponse> {
        refuse(&request, status::user_not_found).await
    }

    async fn user_grant_role(
        &self,
        request: Request<pb::AuthUserGrantRoleRequest>,
    ) -> Answer<pb::AuthUserGrantRoleResponse> {
        refuse(&request, status::user_not_found).await
    }

    async fn user_revoke_role(
        &self,
        request: Request<pb::AuthUserRevokeRoleRequest>,
    ) -> Answer<pb::AuthUserRevokeRoleResponse> {
        refuse(&request, status::user_not_found).await
    }

    async fn role_add(
        &self,
        request: Request<pb::AuthRoleAddRequest>,
    ) -> Answer<pb::AuthRoleAddResponse> {
        refuse(&request, status::read_only).await
    }

    async fn role_get(
        &self,
        request: Request<pb::AuthRoleGetRequest>,
    ) -> Answer<pb::AuthRoleGetResponse> {
        refuse(&request, status::role_not_found).await
    }

    async fn role_delete(
        &self,
        request: Request<pb::AuthRoleDeleteRequest>,
    ) -> Answer<pb::AuthRoleDeleteResponse> {
        refuse(&request, status::role_not_found).await
    }

    async fn role_grant_permission(
        &self,
        request: Request<pb::AuthRoleGrantPermissionRequest>,
    ) -> Answer<pb::AuthRoleGrantPermissionResponse> {
        refuse(&request, status::role_not_found).await
    }

    async fn role_revoke_permission(
        &self,
        request: Request<pb::AuthRoleRevokePermissionRequest>,
    ) -> Answer<pb::AuthRoleRevokePermissionResponse> {
        refuse(&request, status::role_not_found).await
    }

    async fn auth_enable(
        &self,
        request: Request<pb::AuthEnableRequest>,
    ) -> Answer<pb::AuthEnableResponse> {
        refuse(&request, status::root_user_missing).await
    }

    async fn authenticate(
        &self,
        request: Request<pb::AuthenticateRequest>,
    ) -> Answer<pb::AuthenticateResponse> {
        member(&request)?.agree(request.metadata(), Agreement::Read).await?;
        Err(status::auth_not_enabled())
    }
}
