/** Creates an application and goes to it. */
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { call, client } from "../../api.ts";
import { NameDialog } from "../../components/name-dialog.tsx";
import { useWorkspace } from "../../components/workspace.tsx";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";

export function CreateApplicationDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const workspace = useWorkspace();
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const create = async (name: string) => {
    const params = { params: { path: { id: workspace.id } } };
    const application = await call(client.POST("/api/v1/workspaces/{id}/applications", { ...params, body: { name } }));
    queryClient.setQueryData(keys.application(application.id), application);
    void queryClient.invalidateQueries({ queryKey: keys.allApplications });
    await navigate({ to: paths.application, params: { applicationId: application.id }, replace: true });
  };
  return (
    <NameDialog
      open={open}
      onClose={onClose}
      title="Create application"
      label="Name"
      placeholder="Shop"
      submitLabel="Create application"
      onSubmit={create}
    />
  );
}
