/** The protocol's bodies under the names that they have in the API's document and in the clients' types. */
import {
  acceptInvitationSchema,
  apiKeySchema,
  applicationSchema,
  containerLogLineSchema,
  createApiKeySchema,
  createApplicationSchema,
  createdApiKeySchema,
  createdEnrolmentTokenSchema,
  createdInvitationSchema,
  createEnrolmentTokenSchema,
  createEnvironmentSchema,
  createInvitationSchema,
  createServiceSchema,
  credentialsSchema,
  engineSchema,
  enrolmentTokenSchema,
  environmentSchema,
  eventSchema,
  invitationSchema,
  memberSchema,
  meSchema,
  operationLogLineSchema,
  operationLogSchema,
  operationSchema,
  pageSchema,
  serverSchema,
  serviceSchema,
  settleOperationSchema,
  updateServerSchema,
  updateServiceSchema,
  workspaceSchema,
} from "@dflow/protocol";

export const Me = meSchema.meta({ id: "Me" });
export const Workspace = workspaceSchema.meta({ id: "Workspace" });
export const Member = memberSchema.meta({ id: "Member" });
export const Members = pageSchema(Member);
export const Invitation = invitationSchema.meta({ id: "Invitation" });
export const Invitations = pageSchema(Invitation);
export const CreateInvitation = createInvitationSchema.meta({ id: "CreateInvitation" });
export const CreatedInvitation = createdInvitationSchema.meta({ id: "CreatedInvitation" });
export const AcceptInvitation = acceptInvitationSchema.meta({ id: "AcceptInvitation" });
export const ApiKey = apiKeySchema.meta({ id: "ApiKey" });
export const ApiKeys = pageSchema(ApiKey);
export const CreateApiKey = createApiKeySchema.meta({ id: "CreateApiKey" });
export const CreatedApiKey = createdApiKeySchema.meta({ id: "CreatedApiKey" });
export const EnrolmentToken = enrolmentTokenSchema.meta({ id: "EnrolmentToken" });
export const CreateEnrolmentToken = createEnrolmentTokenSchema.meta({ id: "CreateEnrolmentToken" });
export const CreatedEnrolmentToken = createdEnrolmentTokenSchema.meta({ id: "CreatedEnrolmentToken" });
export const Server = serverSchema.meta({ id: "Server" });
export const Servers = pageSchema(Server);
export const UpdateServer = updateServerSchema.meta({ id: "UpdateServer" });
export const Application = applicationSchema.meta({ id: "Application" });
export const Applications = pageSchema(Application);
export const CreateApplication = createApplicationSchema.meta({ id: "CreateApplication" });
export const Environment = environmentSchema.meta({ id: "Environment" });
export const CreateEnvironment = createEnvironmentSchema.meta({ id: "CreateEnvironment" });
export const Service = serviceSchema.meta({ id: "Service" });
export const Services = pageSchema(Service);
export const CreateService = createServiceSchema.meta({ id: "CreateService" });
export const UpdateService = updateServiceSchema.meta({ id: "UpdateService" });
export const Credentials = credentialsSchema.meta({ id: "Credentials" });
export const Operation = operationSchema.meta({ id: "Operation" });
export const SettleOperation = settleOperationSchema.meta({ id: "SettleOperation" });
export const Operations = pageSchema(Operation);
export const OperationLogLine = operationLogLineSchema.meta({ id: "OperationLogLine" });
export const OperationLog = operationLogSchema.extend({ lines: OperationLogLine.array() }).meta({ id: "OperationLog" });
export const ContainerLogLine = containerLogLineSchema.meta({ id: "ContainerLogLine" });
export const Engine = engineSchema.meta({ id: "Engine" });
export const Engines = pageSchema(Engine);
export const Event = eventSchema.meta({ id: "Event" });
